"""P, the loss proposal module: per-pixel weights of the fusion loss.

As the paper has it, w_a and w_b are a softmax of two logits. `balanced` makes changes
that keep P's learning alive (experiments/results/recipes); d is the difference of both
logits:

    d <- (d(a, b) - d(b, a)) / 2      exchanging the sources exchanges the weights
    d <- d - mean(d)                  only where a source is preferred is learned,
    d <- spread d / std(d)            not how often and how much: per picture
    w_a = sigmoid(BOUND tanh(d / BOUND)), w_b = 1 - w_a       no pixel saturates
"""

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
SPREAD = 2.0  # standard deviation of the balanced logits of a picture
BOUND = 3.0  # of balanced logits: weights stay within 0.047 and 0.953
FLAT = 1e-6  # added to a picture's variance of logits, which may be 0


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

    Attributes:
      balanced: whether logits are balanced, see above; it adds the parameter `spread`,
        which training does not change.
    """

    balanced: bool = False

    def setup(self) -> None:
        """Declares two independent sub-networks with stacked parameters."""
        each_its_own = (0, nn.broadcast)  # a pair of images each, one grid for both
        self.subnetworks = scan_modules(
            ProposalSubnetwork, length=2, in_axes=each_its_own
        )
        if self.balanced:
            constant = nn.initializers.constant(SPREAD)
            self.spread = self.param("spread", constant, (), jnp.float32)

    def __call__(self, source_a: Image, source_b: Image) -> WeightMaps:
        """Proposes the fusion loss for a batch of pairs.

        Args:
          source_a, source_b: luminance in [0, 1].

        Returns:
          w from the sources and v from their Sobel gradients; each pair sums to one.
        """
        if self.balanced:
            both = (
                jnp.concatenate(x) for x in ((source_a, source_b), (source_b, source_a))
            )
            return WeightMaps(*(self._balance(z) for z in self._logits(*both)))
        intensity, gradient = self._logits(source_a, source_b)
        return WeightMaps(jax.nn.softmax(intensity), jax.nn.softmax(gradient))

    def _logits(self, source_a: Image, source_b: Image) -> tuple[Array, Array]:
        """Computes the two logits of w and of v at every pixel."""
        grid = grid_of(source_a)
        sources = (source_a, source_b)
        edges = (sobel_gradient(source_a), sobel_gradient(source_b))
        images = jnp.stack(
            [jnp.stack([to_strips(x, grid) for x in pair]) for pair in (sources, edges)]
        )
        _, logits = self.subnetworks(None, images, grid)
        intensity, gradient = (to_image(x, grid) for x in logits)
        return intensity, gradient

    def _balance(self, logits: Array) -> Array:
        """Makes weights of the logits of pairs and then of the same pairs exchanged."""
        forward, backward = jnp.split(logits[..., :1] - logits[..., 1:], 2)
        d = (forward - backward) / 2
        d -= d.mean((1, 2), keepdims=True)
        variance = jnp.square(d).mean((1, 2), keepdims=True)
        spread = jax.lax.stop_gradient(self.spread)
        d = BOUND * jnp.tanh(spread * d * jax.lax.rsqrt(variance + FLAT) / BOUND)
        return jnp.concatenate([jax.nn.sigmoid(d), jax.nn.sigmoid(-d)], axis=-1)
