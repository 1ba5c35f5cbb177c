"""The Restormer transformer block (RTB), of which F, R and P are made.

    x = x + MDTA(LN(x));    x = x + GDFN(LN(x))

MDTA attends between channels, not pixels: its attention matrix is a normalised Gram
matrix of q and k over all pixels. One sweep over the strips sums up the Gram matrix and
computes v; attention matrix and output projection, both small, are then multiplied, and
their product is applied to v.
Source: Restormer (Zamir et al., CVPR 2022), in the form of the authors' released
network; no convolution has a bias.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from refusion_jax.array_types import Extent
from refusion_jax.methods.refusion.nets.convolution import pointwise, uniform_fan_in
from refusion_jax.methods.refusion.nets.depthwise import depthwise3x3
from refusion_jax.methods.refusion.nets.passes import Features, Walk, attend, replace
from refusion_jax.methods.refusion.nets.strips import without_halo

HEADS = 8
FEED_FORWARD_EXPANSION = 2
LAYER_NORM_EPSILON = 1e-5
# PyTorch clips the norms of q and k at 1e-12. Such a small guard overflows float32 in
# the second derivative on black pictures; this one does not, and is still far below any
# norm that a trained network produces.
SQUARED_NORM_EPSILON = 1e-12


class GramStatistics(NamedTuple):
    """Sums over pixels that determine an attention matrix; they add up over strips."""

    gram: Float[Array, "*strips heads size size"]
    query_squares: Float[Array, "*strips heads size"]
    key_squares: Float[Array, "*strips heads size"]


def gram_statistics(query: Array, key: Array, heads: int) -> GramStatistics:
    """Returns q k^T of each head and the squared norms of the rows of q and k.

    Args:
      query, key: (..., channels, length), zero outside the picture.
      heads: number of equal parts of the channels.

    Returns:
      Sums over the last axis. The squares are matrix products too, because XLA:CPU does
      not vectorise a float sum and would compute q and k again for their squares.
    """
    query, key = (
        x.reshape(*x.shape[:-2], heads, -1, x.shape[-1]) for x in (query, key)
    )
    # At least float32, because hundreds of pieces are added up.
    dtype = jnp.promote_types(query.dtype, jnp.float32)
    gram = jnp.matmul(query, key.swapaxes(-1, -2), preferred_element_type=dtype)
    query_squares, key_squares = (
        jnp.einsum("...cn,...cn->...c", x, x, preferred_element_type=dtype)
        for x in (query, key)
    )
    return GramStatistics(gram, query_squares, key_squares)


def attention_matrix(
    statistics: GramStatistics,
    temperature: Float[Array, " heads"],
    project_out: Float[Array, "out channels"],
) -> Float[Array, "batch out channels"]:
    """Returns multi-head channel attention and its output projection as one matrix.

    For each head it is softmax(q k^T / (|q| |k|) * temperature), where a row of q or k
    is one channel over all pixels, multiplied from the left by the projection's columns
    of that head.

    Args:
      statistics: the statistics of each picture.
      temperature: one factor per head.
      project_out: the 1x1 convolution after the attention.

    Returns:
      The matrix by which to multiply a picture's v.
    """
    gram, query_squares, key_squares = statistics
    batch, heads, size, _ = gram.shape
    query_scale, key_scale = (
        jax.lax.rsqrt(squares + SQUARED_NORM_EPSILON)
        for squares in (query_squares, key_squares)
    )
    cosine = gram * query_scale[..., :, None] * key_scale[..., None, :]
    attention = jax.nn.softmax(cosine * temperature[None, :, None, None], axis=-1)
    out_by_head = project_out.reshape(-1, heads, size)
    matrix = jnp.einsum("ohc,bhcd->bohd", out_by_head, attention)
    return matrix.reshape(batch, -1, heads * size).astype(project_out.dtype)


def gated(gate: Array, content: Array) -> Array:
    """Returns gelu(gate) * content, with the exact GELU x * Phi(x).

    It uses erf, because the erfc of jax.nn.gelu is three times slower on CPUs.
    """
    return 0.5 * gate * (1 + jax.lax.erf(gate * (0.5**0.5))) * content


def convolved_parts(
    extended: Array, kernels: tuple[Array, Array], stride: Extent, *, parts: int
) -> list[Array]:
    """Convolves 1x1, then depthwise 3x3, separately for each part of the output.

    Separately, because XLA then does not recompute a part for each operation that reads
    it.

    Args:
      extended: (channels, extended).
      kernels: pointwise out x in, and depthwise out x 3 x 3.
      stride: stride of the strips or tiles.
      parts: number of equal parts of the output channels.

    Returns:
      The parts, (out / parts, length) each.
    """
    pointwise_kernels, depthwise_kernels = (jnp.split(k, parts) for k in kernels)
    return [
        depthwise3x3(pointwise(kernel, extended), depthwise, stride)
        for kernel, depthwise in zip(pointwise_kernels, depthwise_kernels, strict=True)
    ]


def _mean_over_channels(x: Array) -> Array:
    """Averages (..., channels, length) to (..., 1, length)."""
    ones = jnp.full((1, x.shape[-2]), 1 / x.shape[-2], x.dtype)
    return jnp.matmul(ones, x)


def _to_channels(x: Array, channels: int) -> Array:
    """Repeats (..., 1, length) as (..., channels, length).

    By a matrix product, because its transpose is one too: XLA:CPU sums slowly over
    channels.
    """
    return jnp.matmul(jnp.ones((channels, 1), x.dtype), x)


class LayerNorm(nn.Module):
    """Normalises each pixel over its channels, with gain and bias.

    Gain and bias are folded into the 1x1 kernel that reads the result, so that their
    gradients come from its matrix product instead of slow sums over pixels. The bias
    enters through the mean over channels, which is zero in normalised pixels and which
    `normalise` sets to one.
    """

    channels: int

    def setup(self) -> None:
        """Declares gain (ones) and bias (zeros)."""
        shape = (self.channels,)
        self.scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        self.bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)

    def fold(self, kernel: Float[Array, "out channels"]) -> Array:
        """Returns a kernel that applies gain, bias and `kernel` to normalised pixels.

        The sums of its rows, which are its response to a pixel of ones, equal the
        response of `kernel` to the bias.
        """
        scaled = kernel * self.scale[None, :]
        missing = jnp.matmul(kernel, self.bias) - scaled.sum(axis=1)
        return scaled + missing[:, None] / self.channels

    @staticmethod
    def normalise(extended: Array, mask: Array) -> Array:
        """Normalises to zero mean and unit variance, then adds one.

        Args:
          extended: (..., channels, extended).
          mask: (..., 1, extended); where it is zero, the result is zero.

        Returns:
          (..., channels, extended).
        """
        channels = extended.shape[-2]
        centred = extended - _to_channels(_mean_over_channels(extended), channels)
        variance = _mean_over_channels(jnp.square(centred))
        gain = jax.lax.rsqrt(variance + LAYER_NORM_EPSILON) * mask
        return centred * _to_channels(gain, channels) + mask


class TransposedAttention(nn.Module):
    """MDTA: multi-head attention between the channels of one feature map."""

    channels: int
    heads: int = HEADS

    def setup(self) -> None:
        """Declares the q, k, v projections, the output projection, temperatures."""
        channels = self.channels
        self.qkv = self.param("qkv", uniform_fan_in, (3 * channels, channels))
        self.qkv_depthwise = self.param(
            "qkv_depthwise", uniform_fan_in, (3 * channels, 3, 3)
        )
        self.project_out = self.param(
            "project_out", uniform_fan_in, (channels, channels)
        )
        self.temperature = self.param(
            "temperature", nn.initializers.ones, (self.heads,), jnp.float32
        )

    def __call__(self, features: Features, norm: LayerNorm, walk: Walk) -> Features:
        """Adds attention over the normalised features to the features."""
        kernels = (norm.fold(self.qkv), self.qkv_depthwise)
        if self.is_initializing():  # all is declared, and the result is never read
            return features

        def project(extended: Array, mask: Array) -> tuple[GramStatistics, Array]:
            normalised = norm.normalise(extended, mask)
            query, key, value = convolved_parts(
                normalised, kernels, walk.stride, parts=3
            )
            inside = walk.inside(mask)
            statistics = gram_statistics(query * inside, key * inside, self.heads)
            return statistics, value

        matrices = partial(
            attention_matrix,
            temperature=self.temperature,
            project_out=self.project_out,
        )
        return attend(project, matrices, jnp.matmul, features, walk)


class GatedFeedForward(nn.Module):
    """GDFN: two depthwise-convolved halves, one gating the other through GELU."""

    channels: int

    def setup(self) -> None:
        """Declares the projections in and out and the depthwise kernels."""
        channels, hidden = self.channels, FEED_FORWARD_EXPANSION * self.channels
        self.project_in = self.param(
            "project_in", uniform_fan_in, (2 * hidden, channels)
        )
        self.depthwise = self.param("depthwise", uniform_fan_in, (2 * hidden, 3, 3))
        self.project_out = self.param("project_out", uniform_fan_in, (channels, hidden))

    def __call__(self, features: Features, norm: LayerNorm, walk: Walk) -> Features:
        """Adds the feed-forward of the normalised features to the features."""
        kernels = (norm.fold(self.project_in), self.depthwise)
        project_out = self.project_out
        if self.is_initializing():  # as in TransposedAttention
            return features

        def feed_forward(extended: Array, mask: Array) -> Array:
            normalised = norm.normalise(extended, mask)
            gate, content = convolved_parts(normalised, kernels, walk.stride, parts=2)
            product = gated(gate, content)
            return without_halo(extended, walk) + pointwise(project_out, product)

        return replace(feed_forward, features, walk)


class TransformerBlock(nn.Module):
    """RTB: attention between channels, then the gated feed-forward, both residual."""

    channels: int
    heads: int = HEADS

    def setup(self) -> None:
        """Declares the two halves with their norms."""
        self.norm1 = LayerNorm(self.channels)
        self.attention = TransposedAttention(self.channels, self.heads)
        self.norm2 = LayerNorm(self.channels)
        self.feed_forward = GatedFeedForward(self.channels)

    def __call__(self, features: Features, walk: Walk) -> tuple[Features, None]:
        """Maps features to features: the carry of `nn.scan`, which has no output."""
        features = self.attention(features, self.norm1, walk)
        return self.feed_forward(features, self.norm2, walk), None


def scan_modules(
    module: type[nn.Module],
    *fields: int,
    length: int,
    in_axes: Any = nn.broadcast,
) -> nn.Module:
    """Returns unshared modules of one class that `nn.scan` runs one after another.

    Their parameters are stacked along a leading axis, and XLA compiles one module
    instead of `length`.

    Args:
      module: its call maps (carry, *inputs) to (carry, output).
      *fields: of the module.
      length: number of modules.
      in_axes: which of the inputs have a leading axis of `length`; by default each
        module reads the same inputs.

    Returns:
      A module: (carry, *inputs) -> (carry, outputs with a leading axis of `length`).
    """
    scanned = nn.scan(
        module,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        # Because checking what is constant would trace everything twice.
        check_constancy_invariants=False,
        in_axes=in_axes,
        length=length,
    )
    return scanned(*fields)


def stack_blocks(channels: int, blocks: int) -> nn.Module:
    """Returns transformer blocks in a row, as `scan_modules` makes them.

    Args:
      channels: channels of the features.
      blocks: number of blocks.

    Returns:
      A module: (features, walk) -> (features, None).
    """
    return scan_modules(TransformerBlock, channels, length=blocks)
