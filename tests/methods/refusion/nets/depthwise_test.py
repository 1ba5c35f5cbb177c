"""The depthwise convolution and all its derivatives against XLA's own, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.nets.depthwise import (
    depthwise3x3,
    tap_products,
    tap_products_on_gpu,
)
from refusion_jax.methods.refusion.nets.strips import (
    Grid,
    extend,
    join,
    neighbours,
    split,
    sweep,
)

# channels, height, width, rows, sequential: odd and even channels, one and more strips.
CASES = [
    (3, 5, 7, 5, False),
    (4, 7, 3, 2, True),
    (3, 7, 4, 3, True),
    (2, 1, 1, 2, True),
    (1, 17, 3, 17, False),
]


def reference(x, w):
    return jax.lax.conv_general_dilated(
        x,
        w[:, None],
        (1, 1),
        "SAME",
        feature_group_count=w.shape[0],
        precision="highest",
    )


def on_strips(grid):
    def convolve(x, w):
        strips = split(x, grid)

        def body(inputs):
            return depthwise3x3(extend(*inputs), w, grid.stride)

        return join(sweep(body, grid, (strips, *neighbours(strips, grid))), grid)

    return convolve


def derivatives(convolve, x, w, dx, dw, g):
    """Value and derivatives of both arguments, up to the second order, in all modes."""

    def loss(x, w):
        return jnp.sum(jnp.sin(convolve(x, w)) * g)

    grad = jax.grad(loss, argnums=(0, 1))

    def grad_along(x, w):
        gx, gw = grad(x, w)
        return jnp.vdot(gx, dx) + jnp.vdot(gw, dw)

    value, pull_back = jax.vjp(convolve, x, w)
    return {
        "value": value,
        "vjp": pull_back(g),
        "jvp": jax.jvp(convolve, (x, w), (dx, dw))[1],
        "forward over reverse": jax.jvp(grad, (x, w), (dx, dw))[1],
        "reverse over reverse": jax.grad(grad_along, argnums=(0, 1))(x, w),
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_derivatives_equal_those_of_xla(x64, case):
    channels, height, width, rows, sequential = case
    grid = Grid(2, height, width, rows, sequential)
    rng = np.random.default_rng(0)
    x, dx, g = rng.standard_normal((3, 2, channels, height, width))
    w, dw = rng.standard_normal((2, channels, 3, 3))
    ours, expected = (
        jax.jit(lambda *args, f=f: derivatives(f, *args))(x, w, dx, dw, g)
        for f in (on_strips(grid), reference)
    )
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(ours),
        jax.tree.leaves(expected),
        strict=True,
    ):
        assert one.dtype == jnp.float64
        np.testing.assert_allclose(
            one, other, rtol=1e-10, atol=1e-12, err_msg=jax.tree_util.keystr(path)
        )


def test_every_primitive_batches_like_a_loop(x64):
    """vmap over each argument alone and over both; of the gradients, too."""
    rng = np.random.default_rng(1)
    stride, length, extended = 5, 20, 32
    x, w = rng.standard_normal((4, 3, extended)), rng.standard_normal((4, 3, 3, 3))
    g = rng.standard_normal((3, length))

    def convolve_and_pull_back(x, w):
        value, pull_back = jax.vjp(lambda x, w: depthwise3x3(x, w, stride), x, w)
        return value, pull_back(g)

    single = jax.jit(convolve_and_pull_back)
    for x_axis, w_axis in ((0, None), (None, 0), (0, 0)):
        batched = jax.jit(jax.vmap(convolve_and_pull_back, in_axes=(x_axis, w_axis)))(
            x if x_axis == 0 else x[0], w if w_axis == 0 else w[0]
        )
        for i in range(4):
            one = single(x[i if x_axis == 0 else 0], w[i if w_axis == 0 else 0])
            for ours, expected in zip(
                *map(jax.tree.leaves, (batched, one)), strict=True
            ):
                np.testing.assert_allclose(ours[i], expected, rtol=1e-12, atol=1e-13)


def test_strips_may_come_in_any_number_of_leading_axes(x64):
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 4, 3, 32)), rng.standard_normal((3, 3, 3))
    all_at_once = depthwise3x3(jnp.asarray(x), jnp.asarray(w), 5)
    for i, j in ((0, 0), (1, 2)):
        one = depthwise3x3(jnp.asarray(x[i, j]), jnp.asarray(w), 5)
        np.testing.assert_allclose(all_at_once[i, j], one, rtol=1e-13)


def test_kernel_gradients_are_sums_over_strips_and_pixels_on_every_device(x64):
    rng = np.random.default_rng(3)
    stride, length = 5, 20
    x = jnp.asarray(rng.standard_normal((2, 4, 3, length + 2 * (stride + 1))))
    g = jnp.asarray(rng.standard_normal((2, 4, 3, length)))
    expected = np.zeros((3, 9))
    for tap in range(9):
        start = tap // 3 * stride + tap % 3
        shown = x[..., start : start + length]
        expected[:, tap] = np.einsum("abcn,abcn->c", shown, g)
    for products in (tap_products, tap_products_on_gpu):
        np.testing.assert_allclose(products(x, g, stride=stride), expected, rtol=1e-12)


def test_gpus_run_no_loop_for_kernel_gradients():
    def gradient(w, x):
        return jax.grad(lambda w: depthwise3x3(x, w, 5).sum())(w)

    shapes = jnp.zeros((3, 3, 3)), jnp.zeros((2, 3, 32))
    programs = {
        platform: jax.export.export(jax.jit(gradient), platforms=[platform])(*shapes)
        for platform in ("cpu", "cuda")
    }
    assert "stablehlo.while" in programs["cpu"].mlir_module()
    assert "stablehlo.while" not in programs["cuda"].mlir_module()
