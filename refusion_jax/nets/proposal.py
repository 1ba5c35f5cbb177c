"""P, the loss proposal module: per-pixel weights of the fusion loss."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from refusion_jax.array_types import Image, PairMap, WeightMaps
from refusion_jax.nets.convolution import (
    conv3x3,
    to_features,
    to_image,
    uniform_fan_in,
)
from refusion_jax.nets.restormer import TransformerBlock
from refusion_jax.spatial import sobel_gradient

WIDTH = 16
PRELU_SLOPE = 0.25


class ProposalSubnetwork(nn.Module):
    """Two images to two maps that sum to one at every pixel; 44,529 parameters."""

    def setup(self) -> None:
        """Declares one encoder an image, the joint blocks and the tail."""
        self.project_in1 = self.param("project_in1", uniform_fan_in, (WIDTH, 1, 3, 3))
        self.project_in2 = self.param("project_in2", uniform_fan_in, (WIDTH, 1, 3, 3))
        self.encoder1 = [TransformerBlock(WIDTH) for _ in range(2)]
        self.encoder2 = [TransformerBlock(WIDTH) for _ in range(2)]
        self.joint = [TransformerBlock(2 * WIDTH) for _ in range(2)]
        self.tail1 = self.param("tail1", uniform_fan_in, (WIDTH, 2 * WIDTH, 3, 3))
        self.slope = self.param("slope", nn.initializers.constant(PRELU_SLOPE), (), jnp.float32)
        self.tail2 = self.param("tail2", uniform_fan_in, (2, WIDTH, 3, 3))

    def __call__(self, image_a: Image, image_b: Image) -> PairMap:
        """Preferences for a (channel 0) and b (channel 1), softmax over the two."""
        x1 = conv3x3(to_features(image_a), self.project_in1)
        x2 = conv3x3(to_features(image_b), self.project_in2)
        for block1, block2 in zip(self.encoder1, self.encoder2, strict=True):
            x1, x2 = block1(x1), block2(x2)
        features = jnp.concatenate([x1, x2], axis=1)
        for block in self.joint:
            features = block(features)
        features = conv3x3(features, self.tail1)
        features = jnp.where(features >= 0, features, self.slope * features)
        return jax.nn.softmax(to_image(conv3x3(features, self.tail2)), axis=-1)


class LossProposalModule(nn.Module):
    """P: one sub-network on the sources, one on their Sobel gradients.

    89,058 parameters (section 3.5 and Fig. 2 of the paper; the tail after the blocks
    follows the authors' later code).
    """

    def setup(self) -> None:
        """Declares the two independent sub-networks."""
        self.intensity = ProposalSubnetwork()
        self.gradient = ProposalSubnetwork()

    def __call__(self, source_a: Image, source_b: Image) -> WeightMaps:
        """Proposes the fusion loss for a batch of pairs.

        Args:
          source_a, source_b: luminance in [0, 1].

        Returns:
          w from the sources and v from their Sobel gradients; each pair sums to one.
        """
        return WeightMaps(
            intensity=self.intensity(source_a, source_b),
            gradient=self.gradient(sobel_gradient(source_a), sobel_gradient(source_b)),
        )
