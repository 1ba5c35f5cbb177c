"""F, the fusion module: two encoders, the adaptive fusion module (AFM), a decoder."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from refusion_jax.array_types import Image
from refusion_jax.nets.convolution import (
    Features,
    conv3x3,
    depthwise3x3,
    pointwise,
    to_features,
    to_image,
    uniform_fan_in,
)
from refusion_jax.nets.restormer import (
    HEADS,
    TransformerBlock,
    channel_attention,
    gelu,
)

WIDTH = 16  # channels of one source's features; the decoder has twice as many
LEAKY_SLOPE = 0.01


class CrossAttention(nn.Module):
    """Interactive feature extraction: each source is attended by the other's queries.

    A1 = softmax(q2 k1^T t1), x1 <- x1 + W1 (A1 v1), and the same with 1 and 2 swapped.
    """

    channels: int = WIDTH
    heads: int = HEADS

    def setup(self) -> None:
        """Declares one set of projections a source."""
        channels, triple = self.channels, 3 * self.channels
        self.qkv = [
            self.param(f"qkv{i}", uniform_fan_in, (triple, channels)) for i in (1, 2)
        ]
        self.qkv_depthwise = [
            self.param(f"qkv{i}_depthwise", uniform_fan_in, (triple, 3, 3))
            for i in (1, 2)
        ]
        self.project_mid = [
            self.param(f"project_mid{i}", uniform_fan_in, (channels, channels))
            for i in (1, 2)
        ]
        self.temperature = [
            self.param(f"temperature{i}", nn.initializers.ones, (self.heads,), jnp.float32)
            for i in (1, 2)
        ]

    def __call__(self, x1: Features, x2: Features) -> tuple[Features, Features]:
        """Both sources' features, each enriched by the other; same shapes."""
        (q1, k1, v1), (q2, k2, v2) = (
            jnp.split(depthwise3x3(pointwise(x, kernel), depthwise), 3, axis=1)
            for x, kernel, depthwise in zip(
                (x1, x2), self.qkv, self.qkv_depthwise, strict=True
            )
        )
        attended1 = channel_attention(q2, k1, v1, self.temperature[0])
        attended2 = channel_attention(q1, k2, v2, self.temperature[1])
        return (
            x1 + pointwise(attended1, self.project_mid[0]),
            x2 + pointwise(attended2, self.project_mid[1]),
        )


class GatedRefinement(nn.Module):
    """Gating feature refinement: gates from both sources weigh each source's features.

    o = [x1, x2];  g1, g2 = split(DW(W o));  o <- o + sum_i W_i (gelu(g_i) * DW(E_i x_i))
    """

    channels: int = WIDTH

    def setup(self) -> None:
        """Declares the gate, the expansion and the output projection of each source."""
        both, expanded = 2 * self.channels, 4 * self.channels
        self.gate = self.param("gate", uniform_fan_in, (2 * expanded, both))
        self.gate_depthwise = self.param(
            "gate_depthwise", uniform_fan_in, (2 * expanded, 3, 3)
        )
        self.expand = [
            self.param(f"expand{i}", uniform_fan_in, (expanded, self.channels))
            for i in (1, 2)
        ]
        self.expand_depthwise = [
            self.param(f"expand{i}_depthwise", uniform_fan_in, (expanded, 3, 3))
            for i in (1, 2)
        ]
        self.project_out = [
            self.param(f"project_out{i}", uniform_fan_in, (both, expanded))
            for i in (1, 2)
        ]

    def __call__(self, x1: Features, x2: Features) -> Features:
        """Two sources' features to their fusion, with twice the channels."""
        fused = jnp.concatenate([x1, x2], axis=1)
        gates = depthwise3x3(pointwise(fused, self.gate), self.gate_depthwise)
        for i, (x, gate) in enumerate(
            zip((x1, x2), jnp.split(gates, 2, axis=1), strict=True)
        ):
            expanded = depthwise3x3(pointwise(x, self.expand[i]), self.expand_depthwise[i])
            fused = fused + pointwise(gelu(gate) * expanded, self.project_out[i])
        return fused


class FusionModule(nn.Module):
    """F: two luminance images to one. 59,856 parameters as published (Table 7).

    Attributes:
      interaction: cross attention between the sources (ablation VII switches it off).
      gating: gating feature refinement (ablation VIII switches it off). With both off
        the AFM is a concatenation (ablation VI).
    """

    interaction: bool = True
    gating: bool = True

    def setup(self) -> None:
        """Declares encoders, AFM, decoder and the tail."""
        self.project_in1 = self.param("project_in1", uniform_fan_in, (WIDTH, 1, 3, 3))
        self.project_in2 = self.param("project_in2", uniform_fan_in, (WIDTH, 1, 3, 3))
        self.encoder1 = [TransformerBlock(WIDTH) for _ in range(2)]
        self.encoder2 = [TransformerBlock(WIDTH) for _ in range(2)]
        if self.interaction:
            self.cross_attention = CrossAttention()
        if self.gating:
            self.refinement = GatedRefinement()
        self.decoder = [TransformerBlock(2 * WIDTH) for _ in range(2)]
        self.tail1 = self.param("tail1", uniform_fan_in, (WIDTH, 2 * WIDTH, 3, 3))
        self.tail2 = self.param("tail2", uniform_fan_in, (1, WIDTH, 3, 3))

    def encode(self, source_a: Image, source_b: Image) -> tuple[Features, Features]:
        """Features of each source, 16 channels."""
        x1 = conv3x3(to_features(source_a), self.project_in1)
        x2 = conv3x3(to_features(source_b), self.project_in2)
        for block1, block2 in zip(self.encoder1, self.encoder2, strict=True):
            x1, x2 = block1(x1), block2(x2)
        return x1, x2

    def merge(self, x1: Features, x2: Features) -> Features:
        """The AFM: two sources' features to one map of 32 channels."""
        if self.interaction:
            x1, x2 = self.cross_attention(x1, x2)
        if self.gating:
            return self.refinement(x1, x2)
        return jnp.concatenate([x1, x2], axis=1)

    def decode(self, features: Features) -> Image:
        """Fused features to the fused image."""
        for block in self.decoder:
            features = block(features)
        features = nn.leaky_relu(conv3x3(features, self.tail1), LEAKY_SLOPE)
        return to_image(jax.nn.sigmoid(conv3x3(features, self.tail2)))

    def __call__(self, source_a: Image, source_b: Image) -> Image:
        """Fuses a batch of pairs.

        Args:
          source_a, source_b: luminance in [0, 1], any size from 1x1.

        Returns:
          Luminance in (0, 1), same shape. It is not rescaled here.
        """
        return self.decode(self.merge(*self.encode(source_a, source_b)))
