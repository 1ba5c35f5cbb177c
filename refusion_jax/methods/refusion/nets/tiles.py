"""A picture as tiles of one size, for inference in little memory.

A tile is `rows` x `columns` pixels, stored with its halo, a ring of one pixel from its
neighbours. It is flattened row by row, so that code for strips (`nets.strips`) runs on
it unchanged: a shift by (i, j) pixels is a shift by i * stride + j.

Tiles are ordered in bands, columns of tiles from the top of the picture to its bottom.
Each device has the same number of adjacent bands.

The size of the picture and the number of tiles are values, not shapes: one compiled
program serves all pictures whose tiles fit into the same capacity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from refusion_jax.methods.refusion.nets.primitives import computed_once

# Rows and columns to choose from, in pixels. On a CPU a tile's intermediates within a
# block should stay near the core (64 channels of 5,000 pixels are 1.3 MB); accelerators
# need more work at once. 60 and 80 divide the sizes of video.
CPU_TILES = ((32, 96), (32, 128), (32, 160), (60, 64), (60, 80))
TILES = ((256, 128), (256, 256), (256, 512))
AXIS = "bands"  # of the mesh of devices that share a picture


@jax.tree_util.register_static
@dataclass(frozen=True)
class Tile:
    """The size of a tile, in pixels, without its halo."""

    rows: int
    columns: int

    @property
    def stride(self) -> int:
        """Distance of two vertically neighbouring pixels: a row and its halo."""
        return self.columns + 2

    @property
    def margin(self) -> int:
        """How far a 3x3 window reaches along a tile."""
        return self.stride + 1

    @property
    def extended(self) -> int:
        """Number of values of one channel of a tile with its halo."""
        return (self.rows + 2) * self.stride

    @property
    def length(self) -> int:
        """Number of values from the first to the last pixel that the tile owns."""
        return self.extended - 2 * self.margin

    def is_owned(self) -> np.ndarray:
        """Returns which of these values are pixels of the tile, not of its halo."""
        column = (np.arange(self.length) + 1) % self.stride
        return (column > 0) & (column <= self.columns)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["height", "width", "down", "bands"],
    meta_fields=["tile", "devices"],
)
@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
      tile: size of every tile; static.
      devices: number of devices that share the picture; static. If more than one, they
        are the axis "bands" of a `jax.shard_map`.
      height, width: size of the picture, in pixels.
      down: number of tiles per band.
      bands: number of bands per device; the last ones may lie beside the picture.
    """

    tile: Tile
    devices: int
    height: Int[Array, ""] | int
    width: Int[Array, ""] | int
    down: Int[Array, ""] | int
    bands: Int[Array, ""] | int

    @property
    def tile_count(self) -> Int[Array, ""] | int:
        """Number of tiles per device."""
        return self.down * self.bands

    @property
    def first_band(self) -> Int[Array, ""] | int:
        """Index of the current device's first band."""
        return self.bands * jax.lax.axis_index(AXIS) if self.devices > 1 else 0

    @property
    def stride(self) -> int:
        """Distance of two vertically neighbouring pixels, as in `strips.Grid`."""
        return self.tile.stride

    @property
    def margin(self) -> int:
        """How far a 3x3 window reaches along a tile, as in `strips.Grid`."""
        return self.tile.margin

    def inside(self, mask: Array) -> Array:
        """Returns the mask of the pixels that a tile owns, without its halo."""
        owned = jnp.asarray(self.tile.is_owned(), mask.dtype)[None]
        return mask[..., self.margin : mask.shape[-1] - self.margin] * owned


def make_tiling(height: int, width: int, tile: Tile, devices: int = 1) -> Tiling:
    """Cuts a picture.

    Args:
      height, width: in pixels.
      tile: size of every tile.
      devices: number of devices that share the picture.

    Returns:
      The fewest tiles that cover the picture, equally many per device.
    """
    down, bands = -(-height // tile.rows), -(-width // (devices * tile.columns))
    return Tiling(tile, devices, height, width, down, bands)


def most_devices() -> int:
    """Returns how many devices may share a picture: all on a CPU, else one."""
    return jax.local_device_count() if jax.default_backend() == "cpu" else 1


def choose_tiling(height: int, width: int) -> Tiling:
    """Returns the tiling that suits a picture and the devices.

    Args:
      height, width: in pixels.

    Returns:
      The tile size and device count that give each device the fewest pixels, halos
      included. There are few sizes, because each is a program to compile.
    """
    sizes = CPU_TILES if jax.default_backend() == "cpu" else TILES

    def pixels(tiling: Tiling) -> int:
        return int(tiling.tile_count) * tiling.tile.extended

    tilings = [
        make_tiling(height, width, Tile(*size), devices)
        for size in sizes
        for devices in range(1, most_devices() + 1)
    ]
    return min(tilings, key=pixels)


def capacity(tile_count: int) -> int:
    """Returns the number of tiles to allocate: few binary digits, then zeros.

    There are few such numbers and therefore few programs to compile. Large pictures,
    whose memory matters, get two digits more.

    Args:
      tile_count: number of tiles of a picture on one device.

    Returns:
      At least tile_count; at most an eighth more, from 512 tiles on a thirty-second.
    """
    digits = 4 if tile_count < 512 else 6
    step = 1 << max(0, tile_count.bit_length() - digits)
    return -(-tile_count // step) * step


def cut(pictures: Sequence[np.ndarray], tiling: Tiling) -> np.ndarray:
    """Cuts pictures on the host; `join` is the inverse.

    Args:
      pictures: arrays of height x width.
      tiling: tiling of these pictures, with concrete numbers.

    Returns:
      float32, devices x pictures x capacity x extended, with filled halos; zero outside
      the picture.
    """
    tile, devices = tiling.tile, tiling.devices
    down, own_bands = int(tiling.down), int(tiling.bands)
    bands, slots = devices * own_bands, capacity(down * own_bands)
    # Rows and columns stay apart until the end, because a tile can then be assigned
    # as it is, and nothing depends on whether a reshape returns a view.
    shape = (devices, len(pictures), slots, tile.rows + 2, tile.stride)
    result = np.zeros(shape, np.float32)
    for place, picture in enumerate(pictures):
        padded = np.zeros((down * tile.rows + 2, bands * tile.columns + 2), np.float32)
        padded[1 : 1 + picture.shape[0], 1 : 1 + picture.shape[1]] = picture
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, (tile.rows + 2, tile.columns + 2)
        )[:: tile.rows, :: tile.columns].swapaxes(0, 1)
        for band in range(bands):
            device, own_band = divmod(band, own_bands)
            first = own_band * down
            result[device, place, first : first + down] = windows[band]
    return result.reshape(devices, len(pictures), slots, tile.extended)


def join(tiles: np.ndarray, tiling: Tiling) -> np.ndarray:
    """Joins tiles to a picture on the host; undoes `cut`.

    Args:
      tiles: devices x at least `tiling.tile_count` x length.
      tiling: tiling of the picture, with concrete numbers.

    Returns:
      height x width.
    """
    tile, down = tiling.tile, int(tiling.down)
    # Padded, because the first and the last row lack one value of their halo.
    whole = np.pad(tiles[:, : int(tiling.tile_count)], ((0, 0), (0, 0), (1, 1)))
    rows = whole.reshape(-1, down * tile.rows, tile.stride)
    owned = rows[..., 1:-1].swapaxes(0, 1)
    return owned.reshape(down * tile.rows, -1)[: tiling.height, : tiling.width]


def mask_of(
    index: Array, tiling: Tiling, dtype: jnp.dtype
) -> Float[Array, "1 extended"]:
    """Returns 1 on pixels in a tile and its halo, 0 outside the picture."""
    tile = tiling.tile
    position = np.arange(tile.extended)
    band = tiling.first_band + index // tiling.down
    row = index % tiling.down * tile.rows + (position // tile.stride - 1)
    column = band * tile.columns + (position % tile.stride - 1)
    is_pixel = (row >= 0) & (row < tiling.height)
    is_pixel &= (column >= 0) & (column < tiling.width)
    return computed_once(is_pixel.astype(dtype)[None])
