import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.nets.convolution import (
    conv3x3,
    stacked_uniform_fan_in,
    uniform_fan_in,
)
from refusion_jax.methods.refusion.nets.passes import replace
from refusion_jax.methods.refusion.nets.strips import (
    Grid,
    join,
    picture_mask,
    split,
    without_halo,
)


def reference(kernel, x):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", precision="highest")


def on_strips(grid, outside=0.0):
    def convolve(kernel, x):
        mask = without_halo(picture_mask(grid, x.dtype), grid)
        strips = split(x, grid) + outside * (1 - mask)

        def body(extended, mask):
            return conv3x3(kernel, extended, mask, grid.stride)

        return join(replace(body, strips, grid), grid)

    return convolve


def value_and_derivatives(convolve, kernel, x, dkernel, dx, g):
    def loss(kernel, x):
        return jnp.sum(jnp.sin(convolve(kernel, x)) * g)

    return (
        convolve(kernel, x),
        jax.vjp(convolve, kernel, x)[1](g),
        jax.jvp(jax.grad(loss, argnums=(0, 1)), (kernel, x), (dkernel, dx)),
    )


# Strip by strip, and all at once.
ONE_PIXEL, TALL, WIDE = (1, 1, 2, True), (17, 3, 6, True), (6, 9, 6, False)


@pytest.mark.parametrize(
    ("inputs", "outputs", "grid"),
    [
        *((*channels, TALL) for channels in ((1, 16), (16, 1), (32, 16), (16, 2))),
        *((*channels, WIDE) for channels in ((1, 16), (32, 16))),
        *((*channels, ONE_PIXEL) for channels in ((1, 16), (16, 2))),
    ],
    ids=str,
)
def test_value_and_derivatives_equal_those_of_xla(x64, inputs, outputs, grid):
    """Odd sizes; to the second order, forward over reverse."""
    grid = Grid(2, *grid)
    rng = np.random.default_rng(0)
    kernel, dkernel = rng.standard_normal((2, outputs, inputs, 3, 3))
    x, dx = rng.standard_normal((2, 2, inputs, grid.height, grid.width))
    g = rng.standard_normal((2, outputs, grid.height, grid.width))
    ours, expected = (
        jax.jit(lambda *args, f=f: value_and_derivatives(f, *args))(
            kernel, x, dkernel, dx, g
        )
        for f in (on_strips(grid), reference)
    )
    for one, other in zip(*map(jax.tree.leaves, (ours, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 5), (5, 2)])
def test_what_stands_outside_the_picture_is_ignored(inputs, outputs):
    grid = Grid(1, 7, 4, 3, sequential=True)
    rng = np.random.default_rng(1)
    kernel = jnp.asarray(rng.standard_normal((outputs, inputs, 3, 3)), jnp.float32)
    x = jnp.asarray(rng.standard_normal((1, inputs, 7, 4)), jnp.float32)
    clean, dirty = (on_strips(grid, outside)(kernel, x) for outside in (0.0, 100.0))
    np.testing.assert_array_equal(clean, dirty)


@pytest.mark.parametrize("shape", [(40, 500), (200, 3, 3), (16, 32, 3, 3)], ids=str)
def test_kernels_are_drawn_as_pytorch_draws_them(shape):
    """U(-b, b) with b = 1 / sqrt(fan in): its variance is b^2 / 3, its kurtosis 9/5."""
    kernel = np.asarray(uniform_fan_in(jax.random.key(0), shape), np.float64)
    bound = 1 / np.sqrt(np.prod(shape[1:]))
    assert kernel.shape == shape
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    standard_error = bound**2 / 3 * np.sqrt(0.8 / kernel.size)
    assert abs(kernel.var() - bound**2 / 3) < 5 * standard_error
    assert abs(kernel.mean()) < 5 * bound / np.sqrt(3 * kernel.size)


def test_stacked_kernels_are_drawn_one_by_one():
    key = jax.random.key(3)
    stack = stacked_uniform_fan_in(key, (3, 64, 16))
    assert stack.dtype == jnp.float32
    bound = 1 / np.sqrt(16)
    for one, one_key in zip(stack, jax.random.split(key, 3), strict=True):
        np.testing.assert_array_equal(one, uniform_fan_in(one_key, (64, 16)))
        assert 0.95 * bound < jnp.abs(one).max() <= bound
    for i, j in ((0, 1), (0, 2), (1, 2)):
        correlation = np.corrcoef(stack[i].ravel(), stack[j].ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(64 * 16)
