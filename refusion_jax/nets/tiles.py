"""A picture as tiles of one size that are updated in place: inference in little memory.

Training keeps what the backward pass needs; inference needs one map of features at a
time. It is held as tiles of `rows` x `columns` pixels, each stored with its halo, a
ring of one pixel from its neighbours:

- a pass reads a tile, computes, and writes it back over itself; since a tile brings its
  halo with it, no tile sees another one's new values;
- after each pass the halos are taken anew from the neighbours;
- a tile is flat, row after row, so that what is written for strips (`nets.strips`) runs
  on it as it is: a shift by (i, j) pixels is one by i * stride + j.

The size of the picture and the number of tiles are values, not shapes: one compiled
program serves all pictures whose tiles fit into the same capacity.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Total = TypeVar("Total")
Place = tuple[int, int]  # row and column, or how many of them
# Maps a tile with its halo and the mask that belongs to it to a tile without halo.
Body = Callable[[Array, Array], Array]


# Sizes to choose from, in pixels. On a CPU the 128 channels inside a block should stay
# in the cache; accelerators want more to do at once.
CPU_ROWS, CPU_COLUMNS = 32, (64, 128, 256)
ROWS, COLUMNS = 256, (128, 256, 512)


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
        """Values of one channel of a tile with its halo."""
        return (self.rows + 2) * self.stride

    @property
    def length(self) -> int:
        """Values from the first to the last pixel that the tile owns."""
        return self.extended - 2 * self.margin

    def is_owned(self) -> np.ndarray:
        """Which of these values are pixels of the tile and not of its halo."""
        column = (np.arange(self.length) + 1) % self.stride
        return (column > 0) & (column <= self.columns)


class Tiling(NamedTuple):
    """How a picture is cut: `bands` columns of `down` tiles, band after band.

    Attributes:
      tile: size of every tile; static.
      height, width: of the picture in pixels.
      down: tiles of a band.
      bands: side by side.
    """

    tile: Tile
    height: Int[Array, ""] | int
    width: Int[Array, ""] | int
    down: Int[Array, ""] | int
    bands: Int[Array, ""] | int

    @property
    def tile_count(self) -> Int[Array, ""] | int:
        """Number of tiles."""
        return self.down * self.bands

    @property
    def stride(self) -> int:
        """As of a `strips.Grid`."""
        return self.tile.stride

    @property
    def margin(self) -> int:
        """As of a `strips.Grid`."""
        return self.tile.margin

    def inside(self, mask: Array) -> Array:
        """The mask of the pixels that a tile owns: without its halo."""
        owned = jnp.asarray(self.tile.is_owned(), mask.dtype)[None]
        return mask[..., self.margin : mask.shape[-1] - self.margin] * owned


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["state", "first"],
    meta_fields=["channels"],
)
@dataclass(frozen=True)
class InPlace:
    """Features on tiles, to be updated in place; their halos are up to date.

    Attributes:
      state: tiles x all channels x rows and halo x columns and halo. It never changes
        its shape: XLA would copy it between two loops.
      first: the first of the channels that are meant.
      channels: how many; static.
    """

    state: Float[Array, "tiles all_channels rows columns"]
    first: Int[Array, ""] | int
    channels: int


def choose_tile(height: int, width: int) -> Tile:
    """The tile that suits a picture and the default device.

    Args:
      height, width: in pixels.

    Returns:
      The one of few sizes whose tiles cover the picture with the fewest pixels, halos
      included; each size is a program to compile.
    """
    on_cpu = jax.default_backend() == "cpu"
    sizes = (CPU_ROWS, CPU_COLUMNS) if on_cpu else (ROWS, COLUMNS)

    def pixels(tile: Tile) -> int:
        return int(make_tiling(height, width, tile).tile_count) * tile.extended

    rows, columns = sizes
    return min((Tile(rows, each) for each in columns), key=pixels)


def capacity(tile_count: int) -> int:
    """Tiles to provide for: the next number of few binary digits and zeros.

    There are few such numbers, so few programs to compile. Large pictures, whose memory
    counts, get two digits more.

    Args:
      tile_count: tiles of a picture.

    Returns:
      At most an eighth more, from 1024 tiles on a thirty-second.
    """
    digits = 4 if tile_count < 1024 else 6
    step = 1 << max(0, tile_count.bit_length() - digits)
    return -(-tile_count // step) * step


def make_tiling(height: int, width: int, tile: Tile) -> Tiling:
    """Cuts a picture.

    Args:
      height, width: in pixels.
      tile: size of every tile.

    Returns:
      The fewest tiles that cover the picture.
    """
    down, bands = -(-height // tile.rows), -(-width // tile.columns)
    return Tiling(tile, height, width, down, bands)


def cut(pictures: Sequence[np.ndarray], tiling: Tiling) -> np.ndarray:
    """Cuts pictures on the host; `join` is the inverse.

    Args:
      pictures: height x width each.
      tiling: of these pictures, with numbers.

    Returns:
      float32, pictures x capacity x extended; zero outside the picture, halos filled.
    """
    tile, down, bands = tiling.tile, int(tiling.down), int(tiling.bands)
    count = down * bands
    result = np.zeros((len(pictures), capacity(count), tile.extended), np.float32)
    for picture, tiles in zip(pictures, result, strict=True):
        padded = np.zeros((down * tile.rows + 2, bands * tile.columns + 2), np.float32)
        padded[1 : 1 + picture.shape[0], 1 : 1 + picture.shape[1]] = picture
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, (tile.rows + 2, tile.columns + 2)
        )[:: tile.rows, :: tile.columns].swapaxes(0, 1)
        tiles[:count].reshape(windows.shape)[:] = windows
    return result


def join(tiles: np.ndarray, tiling: Tiling) -> np.ndarray:
    """Puts a picture together again, on the host.

    Args:
      tiles: at least `tiling.tile_count` x length.
      tiling: of the picture, with numbers.

    Returns:
      height x width.
    """
    tile, down, bands = tiling.tile, int(tiling.down), int(tiling.bands)
    # The first and the last value belong to the halo of the first and the last row.
    whole = np.pad(tiles[: down * bands], ((0, 0), (1, 1)))
    rows = whole.reshape(bands, down * tile.rows, tile.stride)
    owned = rows[..., 1:-1].swapaxes(0, 1)
    return owned.reshape(down * tile.rows, -1)[: tiling.height, : tiling.width]


def mask_of(index: Array, tiling: Tiling) -> Float[Array, "1 extended"]:
    """1 on the pixels of the picture in a tile and its halo, 0 outside the picture."""
    tile = tiling.tile
    position = np.arange(tile.extended)
    row = index % tiling.down * tile.rows + (position // tile.stride - 1)
    column = index // tiling.down * tile.columns + (position % tile.stride - 1)
    is_pixel = (row >= 0) & (row < tiling.height)
    is_pixel &= (column >= 0) & (column < tiling.width)
    return is_pixel.astype(jnp.float32)[None]


def total(
    body: Callable[[Array, Array], Total], features: InPlace, tiling: Tiling
) -> Total:
    """The sum of what a function says of each tile.

    Args:
      body: of a tile with halo and its mask.
      features: read only.
      tiling: of the picture.

    Returns:
      The sum.
    """

    def of_tile(index: Array) -> Total:
        return body(_read(features, index), mask_of(index, tiling))

    nothing = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_tile, 0)
    )
    return _for_each(
        tiling,
        lambda index, so_far: jax.tree.map(jnp.add, so_far, of_tile(index)),
        nothing,
    )


def update(body: Body, features: InPlace, tiling: Tiling) -> InPlace:
    """Replaces each tile by what a function makes of it, then renews the halos.

    Args:
      body: of a tile with halo and its mask; may give fewer channels than it was given,
        which then become the first ones.
      features: overwritten.
      tiling: of the picture.

    Returns:
      The new features.
    """

    def step(index: Array, state: Array) -> Array:
        tile = _read(dataclasses.replace(features, state=state), index)
        result = body(tile, mask_of(index, tiling))
        return _write(state, result, index, features.first, tiling)

    state = _for_each(tiling, step, features.state)
    return _renew_halos(dataclasses.replace(features, state=state), tiling)


def fill(body: Body, tiles: Array, features: InPlace, tiling: Tiling) -> InPlace:
    """`update` from other tiles.

    Args:
      body: of a tile with halo and its mask.
      tiles: tiles x extended, of one channel.
      features: overwritten.
      tiling: of the picture.

    Returns:
      The new features.
    """

    def step(index: Array, state: Array) -> Array:
        result = body(tiles[index][None], mask_of(index, tiling))
        return _write(state, result, index, features.first, tiling)

    state = _for_each(tiling, step, features.state)
    return _renew_halos(dataclasses.replace(features, state=state), tiling)


def collect(
    body: Body, features: InPlace, tiling: Tiling
) -> Float[Array, "tiles length"]:
    """One channel of results.

    Args:
      body: of a tile with halo and its mask; gives one channel.
      features: read only.
      tiling: of the picture.

    Returns:
      The results without the halo's rows.
    """

    def step(index: Array, results: Array) -> Array:
        result = body(_read(features, index), mask_of(index, tiling))
        return results.at[index].set(result[0])

    nothing = jnp.zeros((features.state.shape[0], tiling.tile.length), jnp.float32)
    return _for_each(tiling, step, nothing)


def _for_each(tiling: Tiling, step: Callable[[Array, Any], Any], start: Any) -> Any:
    return jax.lax.fori_loop(0, tiling.tile_count, step, start)


def _read(features: InPlace, index: Array) -> Float[Array, "channels extended"]:
    sizes = (1, features.channels, *features.state.shape[2:])
    start = (index, features.first, 0, 0)
    tile = jax.lax.dynamic_slice(features.state, start, sizes)
    return tile.reshape(features.channels, -1)


def _write(
    state: Array, result: Array, index: Array, first: Array | int, tiling: Tiling
) -> Array:
    """Writes whole rows; what comes into their halo is renewed afterwards."""
    rows = jnp.pad(result, ((0, 0), (1, 1))).reshape(
        1, -1, tiling.tile.rows, tiling.tile.stride
    )
    return jax.lax.dynamic_update_slice(state, rows, (index, first, 1, 0))


def _renew_halos(features: InPlace, tiling: Tiling) -> InPlace:
    """Copies columns first and then whole rows, so that the corners are right too.

    What lies outside the picture is copied from anywhere: masks take it out.
    """
    last_row, last_column = tiling.tile.rows, tiling.tile.columns
    column, row = (last_row, 1), (1, tiling.tile.stride)

    def copy(
        state: Array, source: Array, to: Array, take: Place, put: Place, size: Place
    ) -> Array:
        source = jnp.clip(source, 0, tiling.tile_count - 1)
        piece = jax.lax.dynamic_slice(
            state, (source, features.first, *take), (1, features.channels, *size)
        )
        return jax.lax.dynamic_update_slice(state, piece, (to, features.first, *put))

    def columns(index: Array, state: Array) -> Array:
        left, right = index - tiling.down, index + tiling.down
        state = copy(state, left, index, (1, last_column), (1, 0), column)
        return copy(state, right, index, (1, 1), (1, last_column + 1), column)

    def rows(index: Array, state: Array) -> Array:
        state = copy(state, index - 1, index, (last_row, 0), (0, 0), row)
        return copy(state, index + 1, index, (1, 0), (last_row + 1, 0), row)

    state = _for_each(tiling, columns, features.state)
    return dataclasses.replace(features, state=_for_each(tiling, rows, state))
