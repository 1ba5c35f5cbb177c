"""The Restormer transformer block (RTB) that F, R and P are made of.

    x = x + MDTA(LN(x));    x = x + GDFN(LN(x))

MDTA attends between channels, not pixels: its attention matrix is a normalised Gram
matrix of q and k over all pixels, so its cost is linear in the picture's size.
Source: Restormer (Zamir et al., CVPR 2022), in the form of the authors' released
network; no convolution has a bias.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from refusion_jax.nets.convolution import (
    Features,
    depthwise3x3,
    pointwise,
    uniform_fan_in,
)

HEADS = 8
FEED_FORWARD_EXPANSION = 2
LAYER_NORM_EPSILON = 1e-5
# PyTorch clips the norms of q and k at 1e-12. A guard that small overflows float32 in
# the second derivative on black pictures; this one does not, and is far below any norm
# that a trained network produces.
SQUARED_NORM_EPSILON = 1e-12


def gelu(x: Array) -> Array:
    """Exact GELU, x * Phi(x). Through erf: jax.nn.gelu's erfc is 3x slower on CPUs."""
    return 0.5 * x * (1 + jax.lax.erf(x * (0.5**0.5)))


def channel_attention(
    query: Features, key: Features, value: Features, temperature: Float[Array, " heads"]
) -> Features:
    """Multi-head attention between channels.

    For each head: softmax(q k^T / (|q| |k|) * temperature) v, where a row of q, k or v
    is one channel over all pixels.

    Args:
      query, key, value: same shape; channels are split evenly between the heads.
      temperature: one factor a head.

    Returns:
      Features of value's shape.
    """
    batch, channels, height, width = value.shape
    heads = temperature.shape[0]
    query, key, value = (
        x.reshape(batch, heads, channels // heads, height * width)
        for x in (query, key, value)
    )
    gram = jnp.einsum("bhcn,bhdn->bhcd", query, key)
    inverse_query_norm, inverse_key_norm = (
        jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1) + SQUARED_NORM_EPSILON)
        for x in (query, key)
    )
    cosine = gram * inverse_query_norm[..., None] * inverse_key_norm[..., None, :]
    attention = jax.nn.softmax(cosine * temperature[None, :, None, None], axis=-1)
    attended = jnp.einsum("bhcd,bhdn->bhcn", attention, value)
    return attended.reshape(batch, channels, height, width)


class LayerNorm(nn.Module):
    """Normalises each pixel over its channels, with gain and bias."""

    channels: int

    def setup(self) -> None:
        """Declares gain (ones) and bias (zeros)."""
        self.scale = self.param("scale", nn.initializers.ones, (self.channels,), jnp.float32)
        self.bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)

    def __call__(self, features: Features) -> Features:
        """Features to features of the same shape; biased variance, epsilon 1e-5."""
        centred = features - features.mean(axis=1, keepdims=True)
        variance = jnp.square(centred).mean(axis=1, keepdims=True)
        normalised = centred * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)
        scale, bias = self.scale[:, None, None], self.bias[:, None, None]
        return normalised * scale + bias


class TransposedAttention(nn.Module):
    """MDTA: multi-head attention between channels of one feature map."""

    channels: int
    heads: int = HEADS

    def setup(self) -> None:
        """Declares the q, k, v projections, the output projection, temperatures."""
        triple = 3 * self.channels
        self.qkv = self.param("qkv", uniform_fan_in, (triple, self.channels))
        self.qkv_depthwise = self.param("qkv_depthwise", uniform_fan_in, (triple, 3, 3))
        self.project_out = self.param(
            "project_out", uniform_fan_in, (self.channels, self.channels)
        )
        self.temperature = self.param(
            "temperature", nn.initializers.ones, (self.heads,), jnp.float32
        )

    def project_qkv(self, features: Features) -> tuple[Features, Features, Features]:
        """Queries, keys and values, each of the shape of the features."""
        projected = depthwise3x3(pointwise(features, self.qkv), self.qkv_depthwise)
        query, key, value = jnp.split(projected, 3, axis=1)
        return query, key, value

    def __call__(self, features: Features) -> Features:
        """Features to features of the same shape, without the residual."""
        query, key, value = self.project_qkv(features)
        attended = channel_attention(query, key, value, self.temperature)
        return pointwise(attended, self.project_out)


class GatedFeedForward(nn.Module):
    """GDFN: two depthwise-convolved halves, one gating the other through GELU."""

    channels: int

    def setup(self) -> None:
        """Declares the projections in and out and the depthwise kernels."""
        hidden = FEED_FORWARD_EXPANSION * self.channels
        self.project_in = self.param(
            "project_in", uniform_fan_in, (2 * hidden, self.channels)
        )
        self.depthwise = self.param("depthwise", uniform_fan_in, (2 * hidden, 3, 3))
        self.project_out = self.param(
            "project_out", uniform_fan_in, (self.channels, hidden)
        )

    def __call__(self, features: Features) -> Features:
        """Features to features of the same shape, without the residual."""
        hidden = depthwise3x3(pointwise(features, self.project_in), self.depthwise)
        gate, content = jnp.split(hidden, 2, axis=1)
        return pointwise(gelu(gate) * content, self.project_out)


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

    def __call__(self, features: Features) -> Features:
        """Features to features of the same shape."""
        features = features + self.attention(self.norm1(features))
        return features + self.feed_forward(self.norm2(features))
