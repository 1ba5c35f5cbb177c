"""P, the loss proposal module: per-pixel weights of the fusion loss."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array

from refusion_jax.array_types import Image
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.convolution import conv3x3, uniform_fan_in
from refusion_jax.methods.refusion.nets.encoder import (
    grid_of,
    stack_encoders,
    to_image,
    to_strips,
)
from refusion_jax.methods.refusion.nets.passes import replace
from refusion_jax.methods.refusion.nets.restormer import scan_modules, stack_blocks
from refusion_jax.methods.refusion.nets.strips import Grid, Strips
from refusion_jax.methods.sobel import sobel_gradient

WIDTH = 16
BLOCKS = 2
PRELU_SLOPE = 0.25


class ProposalSubnetwork(nn.Module):
    """Maps two images to two logits per pixel; 44,529 parameters."""

    def setup(self) -> None:
        """Declares one encoder per image, the joint blocks and the tail."""
        self.encoders = stack_encoders(WIDTH, BLOCKS)
        self.joint = stack_blocks(2 * WIDTH, BLOCKS)
        self.tail1 = self.param("tail1", uniform_fan_in, (WIDTH, 2 * WIDTH, 3, 3))
        slope = nn.initializers.constant(PRELU_SLOPE)
        self.slope = self.param("slope", slope, (), jnp.float32)
        self.tail2 = self.param("tail2", uniform_fan_in, (2, WIDTH, 3, 3))

    def __call__(self, carry: None, images: Array, grid: Grid) -> tuple[None, Strips]:
        """Computes the logits of a (channel 0) and b; `nn.scan` needs the carry."""
        _, features = self.encoders(None, images, grid)
        strips = jnp.concatenate([features[0], features[1]], axis=1)
        strips, _ = self.joint(strips, grid)
        tail1, tail2, slope = self.tail1, self.tail2, self.slope

        def to_activations(extended: Array, mask: Array) -> Array:
            inputs = conv3x3(tail1, extended, mask, grid.stride)
            return jnp.where(inputs >= 0, inputs, slope * inputs)

        def to_logits(extended: Array, mask: Array) -> Array:
            return conv3x3(tail2, extended, mask, grid.stride)

        return carry, replace(to_logits, replace(to_activations, strips, grid), grid)


class LossProposalModule(nn.Module):
    """P: one sub-network on the sources, one on their Sobel gradients.

    89,058 parameters (section 3.5 and Fig. 2 of the paper; the tail after the blocks
    follows the authors' later code).
    """

    def setup(self) -> None:
        """Declares two independent sub-networks with stacked parameters."""
        each_its_own = (0, nn.broadcast)  # a pair of images each, one grid for both
        self.subnetworks = scan_modules(
            ProposalSubnetwork, length=2, in_axes=each_its_own
        )

    def __call__(self, source_a: Image, source_b: Image) -> WeightMaps:
        """Proposes the fusion loss for a batch of pairs.

        Args:
          source_a, source_b: luminance in [0, 1].

        Returns:
          w from the sources and v from their Sobel gradients; each pair sums to one.
        """
        grid = grid_of(source_a)
        sources = (source_a, source_b)
        edges = (sobel_gradient(source_a), sobel_gradient(source_b))
        images = jnp.stack(
            [jnp.stack([to_strips(x, grid) for x in pair]) for pair in (sources, edges)]
        )
        _, logits = self.subnetworks(None, images, grid)
        intensity, gradient = (
            jax.nn.softmax(to_image(x, grid), axis=-1) for x in logits
        )
        return WeightMaps(intensity=intensity, gradient=gradient)
