"""Passes over tiles that update one map of features in place.

Training keeps what the backward pass needs; inference needs one map of features only.

- A pass reads a tile, computes, and overwrites the tile with the result. Each tile is
  stored with its halo, so no tile sees new values of another.
- After each pass the halos are copied from the neighbours again, across devices too.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from refusion_jax.methods.refusion.nets.primitives import computed_once
from refusion_jax.methods.refusion.nets.tiles import AXIS, Tiling, mask_of

Total = TypeVar("Total")
Place = tuple[int, int]  # row and column of a tile, or numbers of rows and columns
TileAndColumn = tuple[Array | int, int]
# Maps a tile with its halo, and the tile's mask, to a tile without halo.
Body = Callable[[Array, Array], Array]
AT_ONCE = 32  # tiles whose edges are sent to another device in one message


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["state", "first"],
    meta_fields=["channels"],
)
@dataclass(frozen=True)
class InPlace:
    """Features on tiles, to be updated in place; their halos are up to date.

    Attributes:
      state: tiles x all channels x rows and halo x columns and halo. Its shape never
        changes, because XLA would otherwise copy it between two loops.
      first: the first channel of these features within the state.
      channels: number of channels of these features; static.
    """

    state: Float[Array, "tiles all_channels rows columns"]
    first: Int[Array, ""] | int
    channels: int


def total(
    body: Callable[[Array, Array], Total], features: InPlace, tiling: Tiling
) -> Total:
    """Returns the sum of a function's results over all tiles.

    Args:
      body: maps a tile with halo, and its mask, to a tree of arrays.
      features: features to read.
      tiling: tiling of the picture.

    Returns:
      The sum over all tiles of all devices.
    """

    def of_tile(index: Array) -> Total:
        return body(
            _read(features, index), mask_of(index, tiling, features.state.dtype)
        )

    nothing = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_tile, 0)
    )
    of_device = jax.lax.fori_loop(
        0,
        tiling.tile_count,
        lambda index, so_far: jax.tree.map(jnp.add, so_far, of_tile(index)),
        nothing,
    )
    return jax.lax.psum(of_device, AXIS) if tiling.devices > 1 else of_device


def update(body: Body, features: InPlace, tiling: Tiling) -> InPlace:
    """Replaces each tile by a function of it, then renews the halos.

    Args:
      body: maps a tile with halo, and its mask, to a tile without halo. If it returns
        fewer channels than it receives, they become the first ones.
      features: features to overwrite.
      tiling: tiling of the picture.

    Returns:
      The new features.
    """

    def step(index: Array, state: Array) -> Array:
        tile = _read(dataclasses.replace(features, state=state), index)
        result = body(tile, mask_of(index, tiling, features.state.dtype))
        return _write(state, result, index, features.first, tiling)

    state = jax.lax.fori_loop(0, tiling.tile_count, step, features.state)
    return _renew_halos(dataclasses.replace(features, state=state), tiling)


def fill(body: Body, tiles: Array, features: InPlace, tiling: Tiling) -> InPlace:
    """Overwrites features with a function of other tiles, then renews the halos.

    Args:
      body: maps a tile with halo, and its mask, to a tile without halo.
      tiles: the tiles to read: tiles x extended, one channel.
      features: features to overwrite.
      tiling: tiling of the picture.

    Returns:
      The new features.
    """

    def step(index: Array, state: Array) -> Array:
        result = body(tiles[index][None], mask_of(index, tiling, features.state.dtype))
        return _write(state, result, index, features.first, tiling)

    state = jax.lax.fori_loop(0, tiling.tile_count, step, features.state)
    return _renew_halos(dataclasses.replace(features, state=state), tiling)


def collect(
    body: Body, features: InPlace, tiling: Tiling
) -> Float[Array, "tiles length"]:
    """Returns a function's results of one channel for all tiles.

    Args:
      body: maps a tile with halo, and its mask, to one channel without halo.
      features: features to read.
      tiling: tiling of the picture.

    Returns:
      The results without the halo's rows.
    """

    def step(index: Array, results: Array) -> Array:
        result = body(
            _read(features, index), mask_of(index, tiling, features.state.dtype)
        )
        return results.at[index].set(result[0])

    nothing = jnp.zeros((features.state.shape[0], tiling.tile.length), jnp.float32)
    return jax.lax.fori_loop(0, tiling.tile_count, step, nothing)


def _read(features: InPlace, index: Array) -> Float[Array, "channels extended"]:
    sizes = (1, features.channels, *features.state.shape[2:])
    start = (index, features.first, 0, 0)
    tile = jax.lax.dynamic_slice(features.state, start, sizes)
    # Once, because XLA:CPU would otherwise read the tile again for the residual.
    return computed_once(tile.reshape(features.channels, -1))


def _write(
    state: Array, result: Array, index: Array, first: Array | int, tiling: Tiling
) -> Array:
    """Writes whole rows; `_renew_halos` replaces what this puts into the halo."""
    rows = jnp.pad(result, ((0, 0), (1, 1))).reshape(
        1, -1, tiling.tile.rows, tiling.tile.stride
    )
    return jax.lax.dynamic_update_slice(state, rows, (index, first, 1, 0))


@jax.jit  # traced once for all passes, because tracing dominates a warm start
def _renew_halos(features: InPlace, tiling: Tiling) -> InPlace:
    """Copies columns first and then whole rows, so that the corners are right too.

    Halos outside the picture receive arbitrary values, because masks exclude them.
    """
    last_row, last_column = tiling.tile.rows, tiling.tile.columns
    # Own rows and columns count from 1, because 0 and last + 1 are the halo.
    column_size, row_size = (last_row, 1), (1, tiling.tile.stride)

    def copy(
        state: Array,
        from_tile: Array,
        from_corner: Place,
        to_tile: Array,
        to_corner: Place,
        size: Place,
    ) -> Array:
        from_tile = jnp.clip(from_tile, 0, tiling.tile_count - 1)
        piece = jax.lax.dynamic_slice(
            state,
            (from_tile, features.first, *from_corner),
            (1, features.channels, *size),
        )
        return jax.lax.dynamic_update_slice(
            state, piece, (to_tile, features.first, *to_corner)
        )

    def copy_columns(tile: Array, state: Array) -> Array:
        left, right = tile - tiling.down, tile + tiling.down
        state = copy(state, left, (1, last_column), tile, (1, 0), column_size)
        return copy(state, right, (1, 1), tile, (1, last_column + 1), column_size)

    def copy_rows(tile: Array, state: Array) -> Array:
        above, below = tile - 1, tile + 1
        state = copy(state, above, (last_row, 0), tile, (0, 0), row_size)
        return copy(state, below, (1, 0), tile, (last_row + 1, 0), row_size)

    state = jax.lax.fori_loop(0, tiling.tile_count, copy_columns, features.state)
    features = dataclasses.replace(features, state=state)
    if tiling.devices > 1:
        features = _exchange_columns(features, tiling)
    state = jax.lax.fori_loop(0, tiling.tile_count, copy_rows, features.state)
    return dataclasses.replace(features, state=state)


def _exchange_columns(features: InPlace, tiling: Tiling) -> InPlace:
    """Renews the halos between one device's last band and the next one's first."""
    first_band, last_band = 0, tiling.tile_count - tiling.down
    last = tiling.tile.columns  # the own columns are 1 to last, 0 and last + 1 the halo
    features = _send_column(
        features, tiling, source=(last_band, last), target=(first_band, 0), ahead=1
    )
    return _send_column(
        features, tiling, source=(first_band, 1), target=(last_band, last + 1), ahead=-1
    )


def _send_column(
    features: InPlace,
    tiling: Tiling,
    *,
    source: TileAndColumn,
    target: TileAndColumn,
    ahead: int,
) -> InPlace:
    """Copies one column of every tile in a band to the device `ahead` of each.

    In groups of `AT_ONCE` tiles, because the number of tiles in a band is a value while
    what devices exchange needs a static shape. A device to which nothing is sent
    receives zeros; they come to lie outside the picture.

    Args:
      features: features to overwrite.
      tiling: tiling of the picture, on several devices.
      source: first tile of the band to read, and the column within its tiles.
      target: the same for the band to write.
      ahead: 1 or -1.

    Returns:
      The new features.
    """
    devices = range(tiling.devices)
    pairs = [(i, i + ahead) for i in devices if i + ahead in devices]

    def send_group(group: Array, state: Array) -> Array:
        begin = group * AT_ONCE
        count = jnp.minimum(AT_ONCE, tiling.down - begin)
        own = dataclasses.replace(features, state=state)
        edges = _gather_edges(own, (source[0] + begin, source[1]), count)
        edges = jax.lax.ppermute(edges, AXIS, pairs)
        return _scatter_edges(own, edges, (target[0] + begin, target[1]), count)

    groups = (tiling.down + AT_ONCE - 1) // AT_ONCE
    state = jax.lax.fori_loop(0, groups, send_group, features.state)
    return dataclasses.replace(features, state=state)


def _gather_edges(
    features: InPlace, source: TileAndColumn, count: Array
) -> Float[Array, "at_once channels rows 1"]:
    """Reads one column of `count` tiles that follow each other; zeros fill up."""
    first_tile, column = source
    size = (1, features.channels, features.state.shape[2] - 2, 1)

    def gather(index: Array, edges: Array) -> Array:
        start = (first_tile + index, features.first, 1, column)
        edge = jax.lax.dynamic_slice(features.state, start, size)
        return jax.lax.dynamic_update_slice(edges, edge, (index, 0, 0, 0))

    zeros = jnp.zeros((AT_ONCE, *size[1:]), features.state.dtype)
    return jax.lax.fori_loop(0, count, gather, zeros)


def _scatter_edges(
    features: InPlace, edges: Array, target: TileAndColumn, count: Array
) -> Array:
    """Writes the first `count` edges to one column of tiles; returns the state."""
    first_tile, column = target

    def scatter(index: Array, state: Array) -> Array:
        edge = jax.lax.dynamic_slice(edges, (index, 0, 0, 0), (1, *edges.shape[1:]))
        start = (first_tile + index, features.first, 1, column)
        return jax.lax.dynamic_update_slice(state, edge, start)

    return jax.lax.fori_loop(0, count, scatter, features.state)
