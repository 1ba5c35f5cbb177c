"""R, the source reconstruction module: from the fused image back to both sources."""

import jax
from flax import linen as nn
from jaxtyping import Array

from refusion_jax.array_types import Image
from refusion_jax.methods.refusion.nets.convolution import conv3x3, uniform_fan_in
from refusion_jax.methods.refusion.nets.encoder import (
    Encoder,
    grid_of,
    to_image,
    to_strips,
)
from refusion_jax.methods.refusion.nets.passes import replace
from refusion_jax.methods.refusion.nets.restormer import scan_modules
from refusion_jax.methods.refusion.nets.strips import Grid, Strips


class ReconstructionBranch(nn.Module):
    """Convolution, transformer blocks, convolution: fused image to source logits."""

    width: int
    blocks: int

    def setup(self) -> None:
        """Declares the encoder and the last convolution."""
        self.encoder = Encoder(self.width, self.blocks)
        self.project_out = self.param(
            "project_out", uniform_fan_in, (1, self.width, 3, 3)
        )

    def __call__(self, carry: None, fused: Strips, grid: Grid) -> tuple[None, Strips]:
        """Computes one source's logits; `nn.scan` needs the carry."""
        _, features = self.encoder(None, fused, grid)

        def project_out(extended: Array, mask: Array) -> Array:
            return conv3x3(self.project_out, extended, mask, grid.stride)

        return carry, replace(project_out, features, grid)


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
        """Declares one branch per source, with stacked parameters."""
        self.branches = scan_modules(
            ReconstructionBranch, self.width, self.blocks, length=2
        )

    def __call__(self, fused: Image) -> tuple[Image, Image]:
        """Rebuilds both sources.

        Args:
          fused: luminance in [0, 1].

        Returns:
          recon_a, recon_b: luminance in (0, 1), same shape.
        """
        grid = grid_of(fused)
        _, logits = self.branches(None, to_strips(fused, grid), grid)
        recon_a, recon_b = (jax.nn.sigmoid(to_image(x, grid)) for x in logits)
        return recon_a, recon_b
