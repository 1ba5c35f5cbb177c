"""Dense convolutions of strips, and the initialisation of all kernels."""

import jax
import jax.numpy as jnp
from jax.interpreters import ad
from jaxtyping import Array, Float

from refusion_jax.array_types import Extent
from refusion_jax.methods.primitive import declare
from refusion_jax.methods.refusion.nets.depthwise import add_up, shifted, window_offsets
from refusion_jax.methods.refusion.nets.primitives import padded


def uniform_fan_in(
    key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> Array:
    """Draws a kernel as PyTorch does by default: U(-1, 1) / sqrt(fan_in).

    Args:
      key: PRNG key.
      shape: kernel shape; the fan-in is the product of all axes but the first.
      dtype: type of the result.

    Returns:
      An array of that shape.
    """
    fan_in = 1
    for size in shape[1:]:
        fan_in *= size
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def stacked_uniform_fan_in(key: Array, shape: tuple[int, ...]) -> Array:
    """Draws kernels that are stacked along the first axis, see `uniform_fan_in`.

    Args:
      key: PRNG key.
      shape: stack x kernel shape.

    Returns:
      A float32 array of that shape.
    """
    keys = jax.random.split(key, shape[0])
    return jax.vmap(lambda k: uniform_fan_in(k, shape[1:]))(keys)


def pointwise(kernel: Float[Array, "*stack out channels"], features: Array) -> Array:
    """Applies a 1x1 convolution: one matrix product over the last axis's pixels."""
    return jnp.matmul(kernel, features)


def conv3x3(
    kernel: Float[Array, "out channels 3 3"],
    extended: Array,
    mask: Array,
    stride: Extent,
) -> Array:
    """Applies a dense 3x3 convolution: stride 1, zero padding 1, no bias.

    It is one matrix product. The nine shifted copies are made of the input or of the
    output, whichever has fewer channels, because they cost memory traffic.

    Args:
      kernel: out x in x 3 x 3.
      extended: (..., in, extended): pieces with their halo; values outside the picture
        are ignored.
      mask: (..., 1, extended): 1 on pixels and 0 outside the picture.
      stride: stride of the strips or tiles.

    Returns:
      (..., out, length), without halo.
    """
    out_channels, in_channels = kernel.shape[:2]
    inside = extended * mask
    if in_channels <= out_channels:
        inputs_first = kernel.transpose(0, 2, 3, 1).reshape(out_channels, -1)
        return pointwise(inputs_first, _spread_p.bind(inside, stride=stride))
    outputs_first = kernel.transpose(2, 3, 0, 1).reshape(-1, in_channels)
    return _gather_p.bind(pointwise(outputs_first, inside), stride=stride)


def _spread(x: Array, *, stride: Extent) -> Array:
    """Stacks nine shifted copies along channels."""
    length = x.shape[-1] - 2 * (stride + 1)
    copies = [shifted(x, offset, length) for offset in window_offsets(stride)]
    return jnp.concatenate(copies, axis=-2)


def _gather(y: Array, *, stride: Extent) -> Array:
    """Adds up nine stacked groups of channels, each shifted by its own offset."""
    length = y.shape[-1] - 2 * (stride + 1)
    groups = jnp.split(y, 9, axis=-2)
    offsets = window_offsets(stride)
    return add_up([shifted(y, o, length) for y, o in zip(groups, offsets, strict=True)])


def _spread_transposed(g: Array, *, stride: Extent) -> Array:
    margin = 2 * (stride + 1)
    length = g.shape[-1] + margin
    g = padded(g, margin)
    groups = jnp.split(g, 9, axis=-2)
    offsets = window_offsets(stride)
    return add_up(
        [shifted(g, margin - o, length) for g, o in zip(groups, offsets, strict=True)]
    )


def _gather_transposed(g: Array, *, stride: Extent) -> Array:
    margin = 2 * (stride + 1)
    length = g.shape[-1] + margin
    g = padded(g, margin)
    copies = [shifted(g, margin - offset, length) for offset in window_offsets(stride)]
    return jnp.concatenate(copies, axis=-2)


_spread_p = declare("refusion_spread", _spread)
_spread_transposed_p = declare("refusion_spread_transposed", _spread_transposed)
_gather_p = declare("refusion_gather", _gather)
_gather_transposed_p = declare("refusion_gather_transposed", _gather_transposed)

# Each is linear and its transpose is declared too, so derivatives of any order are
# calls of these four.
for _one, _other in (
    (_spread_p, _spread_transposed_p),
    (_gather_p, _gather_transposed_p),
):
    ad.deflinear2(_one, lambda ct, x, p=_other, **static: [p.bind(ct, **static)])
    ad.deflinear2(_other, lambda ct, x, p=_one, **static: [p.bind(ct, **static)])
