"""The transformer block against the specification, written out in float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.refusion.nets.by_hand import block

from refusion_jax.methods.refusion.nets.restormer import TransformerBlock, stack_blocks
from refusion_jax.methods.refusion.nets.strips import Grid, join, split


def random_params(module, grid, channels, seed=0):
    """Parameters of the right shapes, unlike ones and zeros everywhere."""
    strips = jnp.zeros((grid.batch * grid.strips, channels, grid.length))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), strips, grid))
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: rng.uniform(0.2, 0.8, x.shape) * rng.choice([-1, 1], x.shape),
        shapes["params"],
    )


def random_features(grid, channels, seed=1):
    shape = (grid.batch, channels, grid.height, grid.width)
    return np.random.default_rng(seed).standard_normal(shape)


def run(params, x, grid, channels):
    module = TransformerBlock(channels)
    strips, _ = module.apply({"params": params}, split(jnp.asarray(x), grid), grid)
    return join(strips, grid)


@pytest.mark.parametrize(
    "grid",
    [
        Grid(2, 9, 7, 9, sequential=False),
        Grid(2, 9, 7, 9, sequential=True),
        Grid(2, 9, 7, 4, sequential=True),
        Grid(2, 9, 7, 4, sequential=False),
    ],
    ids=["one strip", "one strip in turn", "three strips in turn", "three at once"],
)
def test_the_block_equals_the_specification_on_any_strips(x64, grid):
    channels = 16
    params = random_params(TransformerBlock(channels), grid, channels)
    x = random_features(grid, channels)
    ours = jax.jit(lambda p, x: run(p, x, grid, channels))(params, x)
    for i in range(2):
        np.testing.assert_allclose(ours[i], block(x[i], params), rtol=1e-9, atol=1e-9)


def test_wider_blocks_have_the_same_heads(x64):
    grid = Grid(1, 5, 4, 3, sequential=True)
    params = random_params(TransformerBlock(32), grid, 32)
    x = random_features(grid, 32)
    ours = jax.jit(lambda p, x: run(p, x, grid, 32))(params, x)
    np.testing.assert_allclose(ours[0], block(x[0], params), rtol=1e-9, atol=1e-9)


def test_stacked_blocks_come_one_after_the_other(x64):
    grid = Grid(1, 5, 4, 3, sequential=True)
    module = stack_blocks(16, 2)
    params = random_params(module, grid, 16)
    x = random_features(grid, 16)
    strips = split(jnp.asarray(x), grid)
    ours, _ = jax.jit(lambda p, s: module.apply({"params": p}, s, grid))(params, strips)
    expected = x[0]
    for i in range(2):
        expected = block(expected, jax.tree.map(lambda leaf, i=i: leaf[i], params))
    np.testing.assert_allclose(join(ours, grid)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("channels", "count"), [(16, 3640), (32, 12392)])
def test_parameter_counts_are_those_of_the_specification(channels, count):
    grid = Grid(1, 4, 4, 4, sequential=True)
    params = random_params(TransformerBlock(channels), grid, channels)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_fresh_blocks_have_neutral_norms_and_temperatures():
    grid = Grid(1, 4, 4, 4, sequential=True)
    strips = jnp.zeros((1, 16, grid.length))
    init = jax.jit(lambda: TransformerBlock(16).init(jax.random.key(0), strips, grid))
    params = init()["params"]
    assert (params["attention"]["temperature"] == 1).all()
    for norm in ("norm1", "norm2"):
        assert (params[norm]["scale"] == 1).all() and not params[norm]["bias"].any()


@pytest.fixture(scope="module")
def derivatives():
    """Loss, gradients and their change along a direction, in float32."""
    grid = Grid(1, 6, 5, 3, sequential=True)
    module = TransformerBlock(16)

    def drawn(seed):
        pair = random_params(module, grid, 16, seed), random_features(grid, 16, seed)
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), pair)

    (params, _), direction = drawn(3), drawn(4)
    # As initialised: what is black remains black before the attention.
    params["norm1"]["bias"] *= 0

    def loss(params, x):
        return jnp.sum(jnp.sin(run(params, x, grid, 16)))

    grad = jax.grad(loss, argnums=(0, 1))
    return jax.jit(lambda x: (loss(params, x), jax.jvp(grad, (params, x), direction)))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1e-6])
def test_derivatives_of_both_orders_are_finite_on_constant_features(derivatives, value):
    """Layer norm divides by a variance of zero, attention by a norm of zero."""
    results = derivatives(jnp.full((1, 16, 6, 5), value, jnp.float32))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(results))


def test_derivatives_of_both_orders_are_finite_where_half_is_black(derivatives):
    x = jnp.asarray(random_features(Grid(1, 6, 5, 3, True), 16), jnp.float32)
    results = derivatives(x.at[:, :8].set(0).at[:, :, :3].set(0))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(results))
