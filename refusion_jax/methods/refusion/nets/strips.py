"""Pictures cut into strips of rows, so that wide intermediates stay in cache.

A network's feature maps live as strips: (batch * strips, channels, length), where a
strip is `rows` rows kept flat with one zero column between them. In that form

- a shift by (i, j) pixels is a shift by i * stride + j along one axis: no 2-D padding,
  and the zero column is the zero padding on the left and on the right;
- what a 3x3 window needs from the neighbouring strips (the halo) is one stretch of
  `margin` values above and one below;
- `sweep` runs a function strip by strip and recomputes it in the backward pass, so the
  64- and 128-channel intermediates of a block never reach memory.

Everything is exact: strips are a way to order the work, not an approximation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.methods.refusion.nets.primitives import trimmed
from refusion_jax.methods.refusion.nets.tiles import Tiling

Features = Float[Array, "batch channels height width"]
Strips = Float[Array, "strips channels length"]
Result = TypeVar("Result")

# Pixels of a strip on a CPU, and its least height. Fewer rows waste work on halos, more
# pixels leave the cache.
CPU_PIXELS = 4096
CPU_MIN_ROWS = 16


@jax.tree_util.register_static
@dataclass(frozen=True)
class Grid:
    """How a batch of pictures is cut.

    Attributes:
      batch, height, width: of the pictures, in pixels.
      rows: of a strip; the last strip of a picture may reach below it.
      sequential: strip by strip with recomputation (CPUs), or all at once (GPUs, which
        would idle on one strip).
    """

    batch: int
    height: int
    width: int
    rows: int
    sequential: bool

    @property
    def strips(self) -> int:
        """Strips of one picture."""
        return -(-self.height // self.rows)

    @property
    def stride(self) -> int:
        """Distance of two vertically neighbouring pixels in a strip."""
        return self.width + 1

    @property
    def length(self) -> int:
        """Values of one channel of a strip."""
        return self.rows * self.stride

    @property
    def margin(self) -> int:
        """How far a 3x3 window reaches along a strip."""
        return self.stride + 1

    def inside(self, mask: Array) -> Array:
        """A mask without its halo."""
        return without_halo(mask, self)


def make_grid(batch: int, height: int, width: int) -> Grid:
    """The grid that suits the default device: strips on CPUs, whole pictures elsewhere.

    Args:
      batch, height, width: of the pictures, in pixels.

    Returns:
      On a CPU, strips of equal height and of about `CPU_PIXELS`.
    """
    sequential = jax.default_backend() == "cpu"
    most_rows = max(CPU_MIN_ROWS, CPU_PIXELS // width) if sequential else height
    strips = -(-height // most_rows)
    # One row would be shorter than the halo that its neighbours may ask for.
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
    """Puts strips together again."""
    channels = strips.shape[1]
    by_channel = strips.reshape(grid.batch, grid.strips, channels, grid.length)
    padded = by_channel.swapaxes(1, 2).reshape(
        grid.batch, channels, grid.strips * grid.rows, grid.stride
    )
    rows = jax.lax.slice_in_dim(padded, 0, grid.height, axis=2)
    return jax.lax.slice_in_dim(rows, 0, grid.width, axis=3)


def picture_mask(grid: Grid, dtype: jnp.dtype) -> Float[Array, "strips 1 extended"]:
    """1 on pixels, 0 on zero columns and outside the picture; halo included.

    Computed where it is used: a constant would be as large as the picture, in memory
    and in an exported program.
    """
    ones = jnp.ones((grid.batch, 1, grid.height, grid.width), dtype)
    inside = split(ones, grid)
    return extend(inside, *neighbours(inside, grid))


def without_halo(extended: Array, grid: Grid | Tiling) -> Array:
    """Drops `margin` values at both ends of the last axis."""
    return trimmed(extended, grid.margin)


def neighbours(strips: Strips, grid: Grid) -> tuple[Array, Array]:
    """The halo: the `margin` values above each strip, and those below; zero outside."""
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
    """A strip between its neighbours' rows."""
    return jnp.concatenate([above, strip, below], axis=-1)


def sweep(body: Callable[[Any], Result], grid: Grid, inputs: Any) -> Result:
    """Applies a function of strips to all of them.

    Args:
      body: maps arrays (..., channels, length) to arrays; no strip sees another.
      grid: says whether the strips go one by one.
      inputs: arrays with a leading axis of strips.

    Returns:
      The body's results with the leading axis of strips.
    """
    if not grid.sequential:
        return body(inputs)
    # Inside scan nothing can be merged across the recomputation, so no CSE barrier.
    recomputed = jax.checkpoint(body, prevent_cse=False)
    return jax.lax.scan(lambda _, x: (None, recomputed(x)), None, inputs)[1]


def sum_over_strips(of_strips: Result, grid: Grid) -> Result:
    """Adds up over each picture's strips; the leading axis becomes the batch."""
    shape = (grid.batch, grid.strips)
    return jax.tree.map(
        lambda x: x.reshape(*shape, *x.shape[1:]).sum(axis=1), of_strips
    )


def for_each_strip(of_pictures: Array, grid: Grid) -> Array:
    """Repeats what belongs to a picture for each of its strips."""
    return jnp.repeat(of_pictures, grid.strips, axis=0)
