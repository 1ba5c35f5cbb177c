import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.nets import strips as strips_module
from refusion_jax.methods.refusion.nets.strips import (
    Grid,
    extend,
    join,
    make_grid,
    neighbours,
    picture_mask,
    split,
    sweep,
    without_halo,
)

# height, width, rows: one strip, equal strips, a last strip that reaches below.
CUTS = [(1, 1, 2), (2, 5, 2), (6, 4, 3), (7, 5, 3), (9, 1, 2), (5, 3, 8)]


def random_features(grid, channels=3, seed=0):
    shape = (grid.batch, channels, grid.height, grid.width)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def extended_by_numpy(features, grid):
    """Flat rows with a zero column each, the halo cut out of the zero-padded whole."""
    batch, channels = features.shape[:2]
    rows = grid.strips * grid.rows
    whole = np.zeros((batch, channels, rows, grid.width + 1), features.dtype)
    whole[:, :, : grid.height, : grid.width] = features
    margin = grid.width + 2
    flat = np.pad(whole.reshape(batch, channels, -1), ((0, 0), (0, 0), (margin,) * 2))
    length = grid.rows * (grid.width + 1)
    cut = [
        flat[:, :, i * length : (i + 1) * length + 2 * margin]
        for i in range(grid.strips)
    ]
    return np.stack(cut, axis=1).reshape(batch * grid.strips, channels, -1)


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_join_puts_together_what_split_has_cut(cut, sequential):
    grid = Grid(2, *cut, sequential)
    features = random_features(grid)
    strips = split(jnp.asarray(features), grid)
    assert strips.shape == (2 * grid.strips, 3, grid.length)
    np.testing.assert_array_equal(join(strips, grid), features)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_strip_between_its_neighbours_is_a_piece_of_the_padded_picture(cut):
    grid = Grid(2, *cut, sequential=True)
    features = random_features(grid)
    strips = split(jnp.asarray(features), grid)
    extended = extend(strips, *neighbours(strips, grid))
    np.testing.assert_array_equal(extended, extended_by_numpy(features, grid))
    np.testing.assert_array_equal(without_halo(extended, grid), strips)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_the_mask_is_one_exactly_on_pixels(cut):
    grid = Grid(2, *cut, sequential=True)
    ones = np.ones((2, 1, grid.height, grid.width), np.float32)
    mask = picture_mask(grid, jnp.float32)
    assert mask.dtype == jnp.float32
    np.testing.assert_array_equal(mask, extended_by_numpy(ones, grid))


def test_no_picture_is_embedded_in_the_program_that_makes_its_mask():
    grid = Grid(2, 480, 640, 16, sequential=True)
    program = jax.jit(lambda: picture_mask(grid, jnp.float32)).lower().as_text()
    assert len(program) < 10_000


def test_a_shift_along_a_strip_is_a_shift_of_the_picture():
    grid = Grid(1, 7, 5, 3, sequential=True)
    features = random_features(grid)
    strips = split(jnp.asarray(features), grid)
    extended = extend(strips, *neighbours(strips, grid))
    padded = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i in range(3):
        for j in range(3):
            offset = i * grid.stride + j
            shifted = join(extended[..., offset : offset + grid.length], grid)
            np.testing.assert_array_equal(shifted, padded[:, :, i : i + 7, j : j + 5])


def body(inputs):
    strip, weight = inputs
    products = jnp.sin(strip) * weight
    return products, products.sum(axis=-1)


@pytest.fixture
def case():
    grid = Grid(2, 7, 5, 3, sequential=True)
    shape = (2 * grid.strips, 3, grid.length)
    numbers = np.random.default_rng(1).standard_normal((3, *shape))
    return grid, tuple(jnp.asarray(x, jnp.float32) for x in numbers)


def test_a_sweep_gives_what_its_body_gives(case):
    grid, (strips, weights, _) = case
    swept = jax.jit(lambda x: sweep(body, grid, x))((strips, weights))
    for ours, expected in zip(swept, body((strips, weights)), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_a_sweep_has_the_gradients_of_its_body_in_both_orders(case):
    grid, (strips, weights, direction) = case

    def derivatives(function):
        def loss(inputs):
            products, sums = function(inputs)
            return jnp.sum(products**3) + jnp.sum(sums**2)

        return jax.jvp(
            jax.grad(loss), ((strips, weights),), ((direction, 2 * direction),)
        )

    swept = jax.jit(lambda: derivatives(lambda x: sweep(body, grid, x)))()
    for ours, expected in zip(
        *map(jax.tree.leaves, (swept, derivatives(body))), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-4)


def test_a_sweep_at_once_hands_the_body_all_strips(case):
    _, (strips, weights, _) = case
    grid = Grid(2, 7, 5, 3, sequential=False)
    seen = []
    sweep(lambda x: seen.append(x[0].shape) or body(x), grid, (strips, weights))
    assert seen == [strips.shape]


@pytest.mark.parametrize("height", [1, 2, 31, 32, 33, 100, 479])
@pytest.mark.parametrize(("width", "most_rows"), [(7, 585), (128, 32), (640, 16)])
def test_on_cpus_strips_are_equal_small_and_cover_the_picture(height, width, most_rows):
    grid = make_grid(3, height, width)
    assert (grid.batch, grid.height, grid.width) == (3, height, width)
    assert grid.sequential
    assert 2 <= grid.rows <= most_rows
    assert (grid.strips - 1) * grid.rows < height <= grid.strips * grid.rows
    # The halo of a strip comes from its two neighbours alone.
    assert grid.margin <= grid.length


@pytest.mark.parametrize("height", [1, 2, 479])
def test_elsewhere_a_picture_is_one_strip(monkeypatch, height):
    monkeypatch.setattr(strips_module.jax, "default_backend", lambda: "gpu")
    grid = make_grid(3, height, 7)
    assert (grid.strips, grid.sequential) == (1, False)
    assert grid.margin <= grid.length
