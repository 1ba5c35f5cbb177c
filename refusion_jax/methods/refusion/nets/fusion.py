"""F, the fusion module: two encoders, the adaptive fusion module (AFM), a decoder.

The features of both sources form one map of 32 channels, source a's 16 first. F makes
the pixels of the fused picture, or it decides between those of the sources (`decision`,
ablation V): its last layer then has two outputs, and I_f = w_a I_a + w_b I_b with their
softmax w.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from refusion_jax.array_types import Image
from refusion_jax.methods.precision import at_least_float32
from refusion_jax.methods.refusion.nets.convolution import (
    conv3x3,
    pointwise,
    stacked_uniform_fan_in,
    uniform_fan_in,
)
from refusion_jax.methods.refusion.nets.depthwise import depthwise3x3
from refusion_jax.methods.refusion.nets.encoder import (
    grid_of,
    stack_encoders,
    to_image,
    to_strips,
)
from refusion_jax.methods.refusion.nets.in_place import InPlace, collect
from refusion_jax.methods.refusion.nets.passes import Features, Walk, attend, replace
from refusion_jax.methods.refusion.nets.restormer import (
    HEADS,
    GramStatistics,
    attention_matrix,
    gated,
    gram_statistics,
    stack_blocks,
)
from refusion_jax.methods.refusion.nets.strips import Grid, without_halo
from refusion_jax.methods.refusion.nets.tiles import Tiling

WIDTH = 16  # channels of one source's features
BLOCKS = 2  # transformer blocks of each encoder and of the decoder
LEAKY_SLOPE = 0.01


def state_shape(tile_count: int, tiling: Tiling) -> tuple[int, int, int, int]:
    """Returns the shape of F's features on one device's tiles, halos included."""
    tile = tiling.tile
    return (tile_count, 2 * WIDTH, tile.rows + 2, tile.stride)


def between(weight_a: Array, source_a: Array, source_b: Array) -> Array:
    """Returns w_a I_a + w_b I_b with w_b = 1 - w_a, of arrays of one shape."""
    return source_b + weight_a * (source_a - source_b)


def by_source(joint: Array) -> Array:
    """Splits (..., 2 * channels, length) into (..., 2, channels, length)."""
    return joint.reshape(*joint.shape[:-2], 2, -1, joint.shape[-1])


def jointly(separate: Array) -> Array:
    """Merges (..., 2, channels, length) into (..., 2 * channels, length)."""
    return separate.reshape(*separate.shape[:-3], -1, separate.shape[-1])


class CrossAttention(nn.Module):
    """Interactive feature extraction: the other source's queries attend to each source.

    A1 = softmax(q2 k1^T t1), x1 <- x1 + W1 (A1 v1), and the same with 1 and 2 swapped.
    Parameters are stacked over the two sources.
    """

    def setup(self) -> None:
        """Declares both sources' projections and temperatures."""
        init = stacked_uniform_fan_in
        self.qkv = self.param("qkv", init, (2, 3 * WIDTH, WIDTH))
        self.qkv_depthwise = self.param("qkv_depthwise", init, (2, 3 * WIDTH, 3, 3))
        self.project_out = self.param("project_out", init, (2, WIDTH, WIDTH))
        self.temperature = self.param(
            "temperature", nn.initializers.ones, (2, HEADS), jnp.float32
        )

    def __call__(self, features: Features, walk: Walk) -> Features:
        """Enriches each source's part of the joint features by the other; same form."""
        parts = list(
            zip(
                jnp.split(self.qkv, 3, axis=1),
                jnp.split(self.qkv_depthwise, 3, axis=1),
                strict=True,
            )
        )
        if self.is_initializing():  # all is declared, and the result is never read
            return features

        def project(extended: Array, mask: Array) -> tuple[GramStatistics, Array]:
            sources = by_source(extended * mask)
            query, key, value = (
                depthwise3x3(
                    jointly(pointwise(kernel, sources)),
                    depthwise.reshape(-1, 3, 3),
                    walk.stride,
                )
                for kernel, depthwise in parts
            )
            inside = walk.inside(mask)
            other_query = jnp.flip(by_source(query * inside), axis=-3)
            statistics = gram_statistics(other_query, by_source(key * inside), HEADS)
            return statistics, by_source(value)

        def matrices(statistics: GramStatistics) -> Array:
            per_source = jax.vmap(attention_matrix, in_axes=(1, 0, 0), out_axes=1)
            return per_source(statistics, self.temperature, self.project_out)

        def mix(matrix: Array, value: Array) -> Array:
            return jointly(jnp.matmul(matrix, value))

        return attend(project, matrices, mix, features, walk)


class GatedRefinement(nn.Module):
    """Gating feature refinement: gates from both sources weight each source's features.

    o = [x1, x2];  g1, g2 = split(DW(W o));
    o <- o + sum_i W_i (gelu(g_i) * DW(E_i x_i))
    """

    def setup(self) -> None:
        """Declares the joint gate and each source's expansion and projection."""
        joint, expanded = 2 * WIDTH, 4 * WIDTH
        init = stacked_uniform_fan_in
        self.gate = self.param("gate", uniform_fan_in, (2 * expanded, joint))
        self.gate_depthwise = self.param(
            "gate_depthwise", uniform_fan_in, (2 * expanded, 3, 3)
        )
        self.expand = self.param("expand", init, (2, expanded, WIDTH))
        self.expand_depthwise = self.param(
            "expand_depthwise", init, (2, expanded, 3, 3)
        )
        self.project_out = self.param("project_out", init, (2, joint, expanded))

    def __call__(self, features: Features, walk: Walk) -> Features:
        """Maps joint features to fused features of the same form."""
        gates, gates_depthwise = (
            jnp.split(x, 2) for x in (self.gate, self.gate_depthwise)
        )
        contents, contents_depthwise = self.expand, self.expand_depthwise
        projections = self.project_out
        if self.is_initializing():  # as in CrossAttention
            return features

        def refine(extended: Array, mask: Array) -> Array:
            inside = extended * mask
            result = without_halo(extended, walk)
            # One source after the other, because half as much then has to be in cache.
            for i, own in enumerate(jnp.split(inside, 2, axis=-2)):
                gate = depthwise3x3(
                    pointwise(gates[i], inside), gates_depthwise[i], walk.stride
                )
                content = depthwise3x3(
                    pointwise(contents[i], own), contents_depthwise[i], walk.stride
                )
                result += pointwise(projections[i], gated(gate, content))
            return result

        return replace(refine, features, walk)


class FusionModule(nn.Module):
    """F: fuses two luminance images. 59,856 parameters as published (Table 7).

    Attributes:
      interaction: cross attention between the sources (ablation VII: off).
      gating: gating feature refinement (ablation VIII: off). With both off the AFM is a
        concatenation (ablation VI).
      decision: whether F weighs the sources' pixels and makes none (ablation V).
    """

    interaction: bool = True
    gating: bool = True
    decision: bool = False

    def setup(self) -> None:
        """Declares encoders, AFM, decoder and the tail."""
        self.encoders = stack_encoders(WIDTH, BLOCKS)
        if self.interaction:
            self.cross_attention = CrossAttention()
        if self.gating:
            self.refinement = GatedRefinement()
        self.decoder = stack_blocks(2 * WIDTH, BLOCKS)
        self.tail1 = self.param("tail1", uniform_fan_in, (WIDTH, 2 * WIDTH, 3, 3))
        # Of another name, which tells the variant of a tree.
        name, outputs = ("decision_tail", 2) if self.decision else ("tail2", 1)
        self.tail2 = self.param(name, uniform_fan_in, (outputs, WIDTH, 3, 3))

    def __call__(
        self, source_a: Image, source_b: Image, grid: Grid | None = None
    ) -> Image:
        """Fuses a batch of pairs.

        Args:
          source_a, source_b: luminance in [0, 1], any size from 1x1.
          grid: how to cut the pictures; None chooses what suits the device.

        Returns:
          Luminance in (0, 1), same shape, not rescaled; with `decision` between the
          sources.
        """
        grid = grid or grid_of(source_a)
        images = jnp.stack([to_strips(source_a, grid), to_strips(source_b, grid)])
        _, features = self.encoders(None, images, grid)
        strips = jnp.concatenate([features[0], features[1]], axis=1)
        strips = replace(self._to_activations(grid), self._fuse(strips, grid), grid)
        logits = replace(self._to_logits(grid), strips, grid)
        if self.decision:
            weights = jax.nn.softmax(to_image(logits, grid))
            return between(weights[..., :1], source_a, source_b)
        return jax.nn.sigmoid(to_image(logits, grid))

    def on_tiles(
        self, sources: Float[Array, "2 tiles extended"], tiling: Tiling
    ) -> tuple[Float[Array, "tiles length"], Float[Array, "tiles channels rows cols"]]:
        """Fuses one pair that is cut into tiles; not meant to be differentiated.

        Args:
          sources: this device's tiles of a and b, as `tiles.cut` returns them, in
            [0, 1].
          tiling: tiling of the picture; tiles beyond its count are ignored.

        Returns:
          Luminance in (0, 1) of the tiles without the halo's rows, for `tiles.join`,
          and the last features, whose memory the next picture may reuse.
        """
        state = jnp.zeros(state_shape(sources.shape[1], tiling), sources.dtype)
        features, _ = self.encoders(
            InPlace(state, jnp.int32(0), WIDTH), sources, tiling
        )
        start = jnp.int32(0)
        features = self._fuse(InPlace(features.state, start, 2 * WIDTH), tiling)
        features = replace(self._to_activations(tiling), features, tiling)
        features = InPlace(features.state, start, WIDTH)
        to_logits = self._to_logits(tiling)

        def output(extended: Array, mask: Array) -> Array:
            logits = at_least_float32(to_logits(extended, mask))
            if self.decision:  # w_a
                return jax.nn.softmax(logits, axis=0)[:1]
            return jax.nn.sigmoid(logits)

        fused = collect(output, features, tiling)
        if self.decision:
            a, b = at_least_float32(without_halo(sources, tiling))
            fused = between(fused, a, b)
        return fused, features.state

    def _fuse(self, features: Features, walk: Walk) -> Features:
        """Maps both sources' features to those of the fused picture."""
        if self.interaction:
            features = self.cross_attention(features, walk)
        if self.gating:
            features = self.refinement(features, walk)
        return self.decoder(features, walk)[0]

    def _to_activations(self, walk: Walk) -> Callable[[Array, Array], Array]:
        kernel = self.tail1

        def body(extended: Array, mask: Array) -> Array:
            inputs = conv3x3(kernel, extended, mask, walk.stride)
            return nn.leaky_relu(inputs, LEAKY_SLOPE)

        return body

    def _to_logits(self, walk: Walk) -> Callable[[Array, Array], Array]:
        kernel = self.tail2
        return lambda extended, mask: conv3x3(kernel, extended, mask, walk.stride)
