"""The first part of F and P, one unshared encoder per source; images to strips."""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from refusion_jax.array_types import Image
from refusion_jax.methods.precision import at_least_float32
from refusion_jax.methods.refusion.nets.convolution import conv3x3, uniform_fan_in
from refusion_jax.methods.refusion.nets.in_place import InPlace, fill
from refusion_jax.methods.refusion.nets.passes import Walk, replace
from refusion_jax.methods.refusion.nets.restormer import scan_modules, stack_blocks
from refusion_jax.methods.refusion.nets.strips import (
    Grid,
    Strips,
    join,
    make_grid,
    split,
)
from refusion_jax.methods.refusion.nets.tiles import Tiling


def grid_of(image: Image) -> Grid:
    """Returns the grid that suits a batch of images."""
    return make_grid(*image.shape[:3])


def to_strips(image: Image, grid: Grid) -> Strips:
    """Cuts an NHWC image of one channel into strips."""
    return split(image[:, None, :, :, 0], grid)


def to_image(strips: Strips, grid: Grid) -> Float[Array, "batch height width channels"]:
    """Returns strips as an NHWC image of at least float32, because it is a result."""
    return at_least_float32(jnp.moveaxis(join(strips, grid), 1, -1))


class Encoder(nn.Module):
    """A 3x3 convolution from one channel, then transformer blocks."""

    width: int
    blocks: int

    def setup(self) -> None:
        """Declares the convolution and the blocks."""
        self.project_in = self.param(
            "project_in", uniform_fan_in, (self.width, 1, 3, 3)
        )
        self.body = stack_blocks(self.width, self.blocks)

    def __call__(
        self, carry: InPlace | None, image: Array, walk: Walk
    ) -> tuple[InPlace | None, Strips | None]:
        """Computes one source's features; the signature is that of `nn.scan`'s body.

        Args:
          carry: None on strips; on tiles the place for this source's features.
          image: one channel, on tiles with halo.
          walk: grid or tiling.

        Returns:
          None and the features; on tiles the place for the next source's features, and
          None.
        """

        def project_in(extended: Array, mask: Array) -> Array:
            return conv3x3(self.project_in, extended, mask, walk.stride)

        if isinstance(walk, Tiling):
            assert carry is not None
            features = fill(project_in, image, carry, walk)
            features, _ = self.body(features, walk)
            after = features.first + features.channels
            return dataclasses.replace(features, first=after), None
        features, _ = self.body(replace(project_in, image, walk), walk)
        return carry, features


def stack_encoders(width: int, blocks: int) -> nn.Module:
    """Returns two encoders with stacked parameters, one per source.

    Args:
      width: channels of each encoder.
      blocks: transformer blocks of each encoder.

    Returns:
      A module: (carry, images, walk) -> (carry, features), where images and features
      have a leading axis of sources; see `Encoder`.
    """
    each_its_own = (0, nn.broadcast)  # an image per encoder, one walk for both
    return scan_modules(Encoder, width, blocks, length=2, in_axes=each_its_own)
