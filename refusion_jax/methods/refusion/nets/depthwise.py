"""Depthwise 3x3 convolution of strips, fast in every derivative.

With off_k the nine shifts of a 3x3 window,

    T(x, w, g) = sum over c, k, n of x[c, n + off_k] w[c, k] g[c, n]

is linear in each argument. Its three partial derivatives are the convolution (d/dg),
the transposed convolution (d/dx) and the products that make the kernel's gradient
(d/dw). Each is bilinear, and its two transposes are the other two. Declared as
primitives, they are closed under differentiation of any order and mode, which avoids
the slow programs that automatic differentiation would give XLA on CPUs.
"""

import functools

import jax
import jax.numpy as jnp
from jax.interpreters import ad
from jaxtyping import Array, Float

from refusion_jax.array_types import Extent
from refusion_jax.methods.primitive import declare
from refusion_jax.methods.refusion.nets.primitives import padded

# Most partial sums that `tap_products` adds as vectors before it sums elements.
_MAX_FOLD = 16


def depthwise3x3(
    extended: Float[Array, "*strips channels extended"],
    kernel: Float[Array, "channels 3 3"],
    stride: Extent,
) -> Float[Array, "*strips channels length"]:
    """Convolves each channel with its own 3x3 kernel.

    Args:
      extended: strips with their halo (see `strips.extend`), zero outside the picture.
      kernel: one 3x3 kernel per channel.
      stride: stride of the grid.

    Returns:
      Strips without halo.
    """
    return _convolve_p.bind(extended, kernel.reshape(-1, 9), stride=stride)


def window_offsets(stride: Extent) -> list[Extent]:
    """Returns the starts of a strip's nine shifted copies, by rows of the window."""
    return [i * stride + j for i in range(3) for j in range(3)]


def shifted(x: Array, offset: Extent, length: Extent) -> Array:
    """Returns `length` values of the last axis, from `offset` on."""
    return jax.lax.slice_in_dim(x, offset, offset + length, axis=-1)


def add_up(terms: list[Array]) -> Array:
    """Adds up arrays of one shape."""
    return functools.reduce(jnp.add, terms)


def _convolve(x: Array, w: Array, *, stride: Extent) -> Array:
    length = x.shape[-1] - 2 * (stride + 1)
    w = w.reshape(*[1] * (x.ndim - 2), -1, 9, 1)
    taps = [
        shifted(x, offset, length) * w[..., k, :]
        for k, offset in enumerate(window_offsets(stride))
    ]
    return add_up(taps)


def _convolve_transposed(g: Array, w: Array, *, stride: Extent) -> Array:
    return _convolve_p.bind(padded(g, 2 * (stride + 1)), w[:, ::-1], stride=stride)


def tap_products(x: Array, g: Array, *, stride: Extent) -> Array:
    """Sums x[n + off_k] g[n] over strips and pixels for each tap k: (channels, 9).

    Whole rows are added up first, as vectors, and a product with ones sums the rest,
    because XLA does not reorder a float sum on CPUs: a plain reduction would be one
    scalar chain.
    """
    length = g.shape[-1]
    rows = length // stride
    fold = max(f for f in range(1, _MAX_FOLD + 1) if rows % f == 0)
    part = length // fold
    ones = jnp.ones((part,), x.dtype)

    def one_tap(_: None, offset: Array) -> tuple[None, Array]:
        products = add_up(
            [
                jax.lax.dynamic_slice_in_dim(x, offset + i * part, part, axis=-1)
                * shifted(g, i * part, part)
                for i in range(fold)
            ]
        )
        total = jnp.matmul(products, ones, precision="highest")
        return None, total.sum(axis=tuple(range(total.ndim - 1)))

    offsets = jnp.asarray(window_offsets(stride))
    return jax.lax.scan(one_tap, None, offsets)[1].T


def tap_products_on_gpu(x: Array, g: Array, *, stride: Extent) -> Array:
    """Returns the same as `tap_products` by one reduction per tap.

    GPUs sum in parallel, and would launch the rounds of a loop one after the other.
    """
    length = g.shape[-1]
    axes = (*range(g.ndim - 2), g.ndim - 1)
    taps = [
        (shifted(x, offset, length) * g).sum(axis=axes)
        for offset in window_offsets(stride)
    ]
    return jnp.stack(taps, axis=-1)


_convolve_p = declare("refusion_depthwise", _convolve, once=True)
_transposed_p = declare("refusion_depthwise_transposed", _convolve_transposed)
_products_p = declare("refusion_tap_products", tap_products, on_gpu=tap_products_on_gpu)

# One rule per argument: the transpose with respect to it.
ad.defbilinear(
    _convolve_p,
    lambda ct, x, w, **static: _transposed_p.bind(ct, w, **static),
    lambda ct, x, w, **static: _products_p.bind(x, ct, **static),
)
ad.defbilinear(
    _transposed_p,
    lambda ct, g, w, **static: _convolve_p.bind(ct, w, **static),
    lambda ct, g, w, **static: _products_p.bind(ct, g, **static),
)
ad.defbilinear(
    _products_p,
    lambda ct, x, g, **static: _transposed_p.bind(g, ct, **static),
    lambda ct, x, g, **static: _convolve_p.bind(x, ct, **static),
)
