"""Pictures cut into strips of rows, so that wide intermediates stay in cache.

A network's feature maps are stored as strips: (batch * strips, channels, length), where
a strip is `rows` flattened rows with one zero column between them. In that form

- a shift by (i, j) pixels is a shift by i * stride + j along one axis: no 2-D padding
  is needed, and the zero column is the zero padding on the left and on the right;
- what a 3x3 window needs from the neighbouring strips (the halo) is `margin` contiguous
  values above and as many below;
- `sweep` runs a function strip by strip and recomputes it in the backward pass, so the
  64- and 128-channel intermediates of a block never reach memory.

The results are exact: strips order the work and approximate nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Extent
from refusion_jax.methods.refusion.nets.primitives import trimmed
from refusion_jax.methods.refusion.nets.tiles import Tiling

Features = Float[Array, "batch channels height width"]
Strips = Float[Array, "strips channels length"]
Result = TypeVar("Result")

# Pixels of a strip on a CPU, and its smallest height. Fewer rows waste work on halos;
# more pixels do not fit into the cache.
CPU_PIXELS = 4096
CPU_MIN_ROWS = 16


@jax.tree_util.register_static
@dataclass(frozen=True)
class Grid:
    """How a batch of pictures is cut.

    Attributes:
      batch, height, width: number and size of the pictures, in pixels.
      rows: height of a strip; the last strip may reach below the picture.
      sequential: whether to go strip by strip with recomputation (CPUs) or to take all
        strips at once (GPUs, which a single strip would leave idle).
    """

    batch: Extent
    height: Extent
    width: Extent
    rows: Extent
    sequential: bool

    @property
    def strips(self) -> Extent:
        """Number of strips per picture."""
        return -(-self.height // self.rows)

    @property
    def stride(self) -> Extent:
        """Distance of two vertically neighbouring pixels in a strip."""
        return self.width + 1

    @property
    def length(self) -> Extent:
        """Number of values of one channel of a strip."""
        return self.rows * self.stride

    @property
    def margin(self) -> Extent:
        """How far a 3x3 window reaches along a strip."""
        return self.stride + 1

    def inside(self, mask: Array) -> Array:
        """Returns a mask without its halo."""
        return without_halo(mask, self)


def make_grid(batch: int, height: int, width: int) -> Grid:
    """Returns the grid that suits the default device.

    Args:
      batch, height, width: number and size of the pictures, in pixels.

    Returns:
      On a CPU, strips of equal height and about `CPU_PIXELS` pixels; elsewhere whole
      pictures.
    """
    sequential = jax.default_backend() == "cpu"
    most_rows = max(CPU_MIN_ROWS, CPU_PIXELS // width) if sequential else height
    strips = -(-height // most_rows)
    # At least two, because one row is shorter than the halo its neighbours need.
    rows = max(2, -(-height // strips))
    return Grid(batch, height, width, rows, sequential)


def split(features: Features, grid: Grid) -> Strips:
    """Cuts feature maps into strips; `join` is the inverse."""
    batch, channels = features.shape[:2]
    below = grid.strips * grid.rows - grid.height
    padded = jnp.pad(features, ((0, 0), (0, 0), (0, below), (0, 1)))
    cut = padded.reshape(batch, channels, grid.strips, grid.length)
    return cut.swapaxes(1, 2).reshape(-1, channels, grid.length)


def join(strips: Strips, grid: Grid) -> Features:
    """Joins strips to feature maps; undoes `split`."""
    channels = strips.shape[1]
    by_channel = strips.reshape(grid.batch, grid.strips, channels, grid.length)
    padded = by_channel.swapaxes(1, 2).reshape(
        grid.batch, channels, grid.strips * grid.rows, grid.stride
    )
    rows = jax.lax.slice_in_dim(padded, 0, grid.height, axis=2)
    return jax.lax.slice_in_dim(rows, 0, grid.width, axis=3)


def picture_mask(grid: Grid, dtype: jnp.dtype) -> Float[Array, "strips 1 extended"]:
    """Returns 1 on pixels, 0 on zero columns and outside the picture; halo included.

    The mask is computed where it is used, because a constant would be as large as the
    picture, in memory and in an exported program.
    """
    ones = jnp.ones((grid.batch, 1, grid.height, grid.width), dtype)
    inside = split(ones, grid)
    return extend(inside, *neighbours(inside, grid))


def without_halo(extended: Array, grid: Grid | Tiling) -> Array:
    """Drops `margin` values at both ends of the last axis."""
    return trimmed(extended, grid.margin)


def neighbours(strips: Strips, grid: Grid) -> tuple[Array, Array]:
    """Returns the halo: `margin` values above and below each strip, zero outside."""
    channels = strips.shape[1]
    if grid.strips == 1:
        nothing = jnp.zeros((grid.batch, channels, grid.margin), strips.dtype)
        return nothing, nothing
    nothing = jnp.zeros((grid.batch, 1, channels, grid.margin), strips.dtype)
    cut = strips.reshape(grid.batch, grid.strips, channels, grid.length)
    above = jnp.concatenate([nothing, cut[:, :-1, :, -grid.margin :]], axis=1)
    below = jnp.concatenate([cut[:, 1:, :, : grid.margin], nothing], axis=1)
    shape = (-1, channels, grid.margin)
    return above.reshape(shape), below.reshape(shape)


def extend(strip: Array, above: Array, below: Array) -> Array:
    """Returns a strip with its halo."""
    return jnp.concatenate([above, strip, below], axis=-1)


def sweep(body: Callable[[Any], Result], grid: Grid, inputs: Any) -> Result:
    """Applies a function of strips to all of them.

    Args:
      body: maps arrays (..., channels, length) to arrays; it treats each strip alone.
      grid: determines whether the strips go one by one.
      inputs: arrays with a leading axis of strips.

    Returns:
      The body's results with the leading axis of strips.
    """
    if not grid.sequential:
        return body(inputs)
    # No barrier against CSE, because inside scan nothing can be merged anyway.
    recomputed = jax.checkpoint(body, prevent_cse=False)
    return jax.lax.scan(lambda _, x: (None, recomputed(x)), None, inputs)[1]


def sum_over_strips(of_strips: Result, grid: Grid) -> Result:
    """Sums over the strips of each picture; the leading axis becomes the batch."""
    shape = (grid.batch, grid.strips)
    return jax.tree.map(
        lambda x: x.reshape(*shape, *x.shape[1:]).sum(axis=1), of_strips
    )


def for_each_strip(of_pictures: Array, grid: Grid) -> Array:
    """Repeats a value of each picture for each of its strips."""
    return jnp.repeat(of_pictures, grid.strips, axis=0)
