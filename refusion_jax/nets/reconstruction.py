"""R, the source reconstruction module: the fused image back to both sources."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from refusion_jax.array_types import Image
from refusion_jax.nets.convolution import (
    Features,
    conv3x3,
    to_features,
    to_image,
    uniform_fan_in,
)
from refusion_jax.nets.restormer import TransformerBlock


class ReconstructionBranch(nn.Module):
    """Conv, transformer blocks, conv: the fused image to one source's logits."""

    width: int
    blocks: int

    def setup(self) -> None:
        """Declares the two convolutions and the blocks between them."""
        self.project_in = self.param(
            "project_in", uniform_fan_in, (self.width, 1, 3, 3)
        )
        self.body = [TransformerBlock(self.width) for _ in range(self.blocks)]
        self.project_out = self.param(
            "project_out", uniform_fan_in, (1, self.width, 3, 3)
        )

    def __call__(self, fused: Features) -> Features:
        """One channel to one channel of logits."""
        features = conv3x3(fused, self.project_in)
        for block in self.body:
            features = block(features)
        return conv3x3(features, self.project_out)


class ReconstructionModule(nn.Module):
    """R: two parallel unshared branches under one sigmoid (Fig. 2 of the paper).

    15,136 parameters at the default width. The paper does not state R's width; 16
    channels and two blocks follow F's encoders.

    Attributes:
      width: channels of each branch; a multiple of the 8 heads.
      blocks: transformer blocks of each branch.
    """

    width: int = 16
    blocks: int = 2

    def setup(self) -> None:
        """Declares one branch a source."""
        self.branch_a = ReconstructionBranch(self.width, self.blocks)
        self.branch_b = ReconstructionBranch(self.width, self.blocks)

    def __call__(self, fused: Image) -> tuple[Image, Image]:
        """Rebuilds both sources.

        Args:
          fused: luminance in [0, 1].

        Returns:
          recon_a, recon_b: luminance in (0, 1), same shape.
        """
        features = to_features(fused)
        logits = jnp.concatenate(
            [self.branch_a(features), self.branch_b(features)], axis=1
        )
        recon_a, recon_b = jnp.split(to_image(jax.nn.sigmoid(logits)), 2, axis=-1)
        return recon_a, recon_b
