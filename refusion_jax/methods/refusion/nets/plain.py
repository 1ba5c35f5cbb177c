"""F in standard convolutions on whole pictures, for converters to other formats.

The networks of this package work on flat strips and use their own primitives, which
converters do not know and which runtimes with fast convolutions do not need. This is F
again in the usual form: NCHW, with no sizes but batch, height and width. A test ensures
that both agree.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.refusion.nets.fusion import LEAKY_SLOPE, between
from refusion_jax.methods.refusion.nets.networks import variant
from refusion_jax.methods.refusion.nets.restormer import (
    LAYER_NORM_EPSILON,
    SQUARED_NORM_EPSILON,
    gated,
)

Kernel = Array | np.ndarray


def fuse_plainly(
    params: Params, source_a: Image, source_b: Image, *, margin: int = 0
) -> Image:
    """Computes the same as `nets.networks.fuse`, with a margin if need be.

    Args:
      params: theta_F as numpy arrays, so that what depends on them alone becomes a
        constant.
      source_a, source_b: luminance in [0, 1], any or symbolic sizes.
      margin: how many times the outermost pixels are repeated around the sources; as
        much is cut off the result.

    Returns:
      The fused luminance in (0, 1), same shape, not rescaled.
    """
    images = [jnp.transpose(x, (0, 3, 1, 2)) for x in (source_a, source_b)]
    if margin:
        images = [_continued(x, margin) for x in images]
    features = []
    for image, encoder in zip(images, _unstack(params["encoders"]), strict=True):
        features.append(_blocks(_conv(image, encoder["project_in"]), encoder["body"]))
    parts = variant(params)
    if parts.interaction:
        features = _cross_attention(features, params["cross_attention"])
    joint = jnp.concatenate(features, axis=1)
    if parts.gating:
        joint = _refinement(joint, features, params["refinement"])
    decoded = _conv(_blocks(joint, params["decoder"]), params["tail1"])
    decoded = jnp.maximum(decoded, LEAKY_SLOPE * decoded)
    if parts.decision:
        weights = jax.nn.softmax(_conv(decoded, params["decision_tail"]), axis=1)
        fused = between(weights[:, :1], *images)
    else:
        fused = jax.nn.sigmoid(_conv(decoded, params["tail2"]))
    if margin:
        fused = _without(fused, margin)
    return jnp.transpose(fused, (0, 2, 3, 1))


def _unstack(stacked: Params) -> list[Params]:
    length = len(jax.tree.leaves(stacked)[0])
    return [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(length)]


def _continued(image: Array, margin: int) -> Array:
    """Repeats the outermost pixels around a picture, in all four directions.

    By convolutions with ones and zeros, which is exact: jax2onnx 0.17.1 neither pads
    with edges nor slices to sizes that are not known yet.

    Args:
      image: batch x 1 x height x width.
      margin: number of pixels on each side.

    Returns:
      batch x 1 x (height + 2 margin) x (width + 2 margin).
    """
    around = ((0, 0), (0, 0), (margin, margin), (margin, margin))
    is_known, image = (jnp.pad(x, around) for x in (jnp.ones_like(image), image))
    for axis in (2, 3):
        for side in (-1, 1):
            # What has something known on its one side only, as far as it reaches.
            edge = is_known * (1 - _sum_at(is_known, axis, [side], reach=1))
            beyond = [-side * distance for distance in range(1, margin + 1)]
            image = image + _sum_at(image * edge, axis, beyond, reach=margin)
            is_known = is_known + _sum_at(edge, axis, beyond, reach=margin)
    return image


def _without(image: Array, margin: int) -> Array:
    """Cuts the margin of `_continued` off again."""
    for axis in (2, 3):
        image = _sum_at(image, axis, [0], reach=margin, is_padded=False)
    return image


def _sum_at(
    image: Array,
    axis: int,
    offsets: list[int],
    *,
    reach: int,
    is_padded: bool = True,
) -> Array:
    """Returns the sum of the pixels at some offsets of `reach` at most, on one axis."""
    kernel: Any = np.zeros((1, 1, 2 * reach + 1, 1), np.float32)
    kernel[0, 0, [reach + offset for offset in offsets]] = 1
    kernel = kernel if axis == 2 else np.swapaxes(kernel, 2, 3)
    pads = [(reach, reach) if is_padded else (0, 0), (0, 0)]
    return jax.lax.conv_general_dilated(
        image, kernel, (1, 1), pads if axis == 2 else pads[::-1]
    )


def _conv(x: Array, kernel: Any, groups: int = 1) -> Array:
    """Convolves 1x1 with a kernel of two axes, else 3x3 with zero padding."""
    if kernel.ndim == 2:
        kernel = kernel[:, :, None, None]
    margin = kernel.shape[-1] // 2
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), [(margin, margin)] * 2, feature_group_count=groups
    )


def _conv_pair(x: Array, pointwise: Kernel, depthwise: Kernel) -> Array:
    """Convolves 1x1 over all channels, then 3x3 for each channel by itself."""
    return _conv(_conv(x, pointwise), depthwise[:, None], groups=len(depthwise))


def _parts(x: Array, params: Params, name: str, count: int) -> list[Array]:
    """Convolves with `name` and `name_depthwise`, in equal parts of the output."""
    kernels = (np.split(params[x], count) for x in (name, f"{name}_depthwise"))
    return [_conv_pair(x, *pair) for pair in zip(*kernels, strict=True)]


def _blocks(x: Array, stacked: Params) -> Array:
    """Runs transformer blocks one after another."""
    for block in _unstack(stacked):
        attention, feed_forward = block["attention"], block["feed_forward"]
        query, key, value = _parts(_layer_norm(x, block["norm1"]), attention, "qkv", 3)
        temperature, out = attention["temperature"], attention["project_out"]
        x = x + _attend(query, key, value, temperature, out)
        kernels = {
            "in": feed_forward["project_in"],
            "in_depthwise": feed_forward["depthwise"],
        }
        gate, content = _parts(_layer_norm(x, block["norm2"]), kernels, "in", 2)
        x = x + _conv(gated(gate, content), feed_forward["project_out"])
    return x


def _layer_norm(x: Array, params: Params) -> Array:
    """Normalises each pixel over its channels."""
    centred = x - x.mean(axis=1, keepdims=True)
    variance = jnp.square(centred).mean(axis=1, keepdims=True)
    scale, bias = (params[name][None, :, None, None] for name in ("scale", "bias"))
    return centred * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON) * scale + bias


def _attend(
    query: Array, key: Array, value: Array, temperature: Kernel, out: Kernel
) -> Array:
    """Attends between channels and projects the result."""
    batch, channels, height, width = query.shape
    heads = len(temperature)

    def by_head(x: Array) -> Array:
        return x.reshape(batch, heads, channels // heads, height * width)

    def unit(x: Array) -> Array:
        squares = jnp.square(x).sum(axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(squares + SQUARED_NORM_EPSILON)

    unit_key = jnp.swapaxes(unit(by_head(key)), -1, -2)
    cosine = jnp.matmul(unit(by_head(query)), unit_key)
    weights = jax.nn.softmax(cosine * temperature[None, :, None, None], axis=-1)
    attended = jnp.matmul(weights, by_head(value))
    return _conv(attended.reshape(batch, channels, height, width), out)


def _cross_attention(features: list[Array], params: Params) -> list[Array]:
    """Attends to each source with the other source's queries."""
    sources = _unstack(params)
    (query_a, key_a, value_a), (query_b, key_b, value_b) = (
        _parts(x, source, "qkv", 3) for x, source in zip(features, sources, strict=True)
    )
    out_a, out_b = ((x["temperature"], x["project_out"]) for x in sources)
    return [
        features[0] + _attend(query_b, key_a, value_a, *out_a),
        features[1] + _attend(query_a, key_b, value_b, *out_b),
    ]


def _refinement(joint: Array, features: list[Array], params: Params) -> Array:
    """Weights each source's features with gates from both sources."""
    gates = _parts(joint, params, "gate", 2)
    for i, (x, gate) in enumerate(zip(features, gates, strict=True)):
        content = _conv_pair(x, params["expand"][i], params["expand_depthwise"][i])
        joint = joint + _conv(gated(gate, content), params["project_out"][i])
    return joint
