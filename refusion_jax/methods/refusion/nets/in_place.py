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
Place = tuple[Array | int, Array | int]  # row and column within a tile
# Maps a tile with its halo, and the tile's mask, to a tile without halo.
Body = Callable[[Array, Array], Array]


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

    All tiles at once, but one side after the other in a loop, so that only one copy is
    compiled and XLA never needs a second map of features. Halos outside the picture
    receive arbitrary values, because masks exclude them.
    """
    last_row, last_column = tiling.tile.rows, tiling.tile.columns
    order = jnp.arange(features.state.shape[0])
    received = _exchange_columns(features, tiling) if tiling.devices > 1 else None

    # Own rows and columns count from 1, because 0 and last + 1 are the halo. Side 0
    # copies the last column or row of the tile before to 0; side 1 mirrors it.
    def renew_columns(side: Array, state: Array) -> Array:
        corner = (1, jnp.where(side == 0, last_column, 1))
        edges = _edges(state, features, corner, (last_row, 1))
        tile = order + (2 * side - 1) * tiling.down
        if received is not None:
            edges = jnp.concatenate([edges, received[side]])
            tile = _or_received(tile, tiling, len(order))
        return _put(state, features, edges, tile, (1, side * (last_column + 1)))

    def renew_rows(side: Array, state: Array) -> Array:
        corner = (jnp.where(side == 0, last_row, 1), 0)
        edges = _edges(state, features, corner, (1, tiling.tile.stride))
        tile = order + (2 * side - 1)
        return _put(state, features, edges, tile, (side * (last_row + 1), 0))

    state = jax.lax.fori_loop(0, 2, renew_columns, features.state)
    state = jax.lax.fori_loop(0, 2, renew_rows, state)
    return dataclasses.replace(features, state=state)


def _edges(
    state: Array, features: InPlace, corner: Place, size: tuple[int, int]
) -> Float[Array, "tiles channels rows columns"]:
    """Returns one column or row of every tile."""
    start = (0, features.first, *corner)
    sizes = (state.shape[0], features.channels, *size)
    return jax.lax.dynamic_slice(state, start, sizes)


def _put(
    state: Array, features: InPlace, edges: Array, tile: Array, corner: Place
) -> Array:
    """Writes to every tile the edge of tile `tile`, or of the nearest one there is."""
    # Once, because XLA would otherwise read the state while overwriting it, and so
    # copy all of it.
    pieces = computed_once(jnp.take(edges, tile, axis=0, mode="clip"))
    return jax.lax.dynamic_update_slice(state, pieces, (0, features.first, *corner))


def _exchange_columns(
    features: InPlace, tiling: Tiling
) -> Float[Array, "2 tiles channels rows 1"]:
    """Returns the last columns of the device before, and the first of the one after.

    Of all tiles, because what devices exchange needs a static shape. A device to which
    nothing is sent receives zeros; they come to lie outside the picture.
    """

    def send(column: int, ahead: int) -> Array:
        size = (tiling.tile.rows, 1)
        edges = _edges(features.state, features, (1, column), size)
        devices = range(tiling.devices)
        pairs = [(i, i + ahead) for i in devices if i + ahead in devices]
        return jax.lax.ppermute(edges, AXIS, pairs)

    return jnp.stack([send(tiling.tile.columns, 1), send(1, -1)])


def _or_received(tile: Array, tiling: Tiling, capacity: int) -> Array:
    """Replaces tiles of neighbouring devices by their places after the own edges."""
    before = capacity + tiling.tile_count + tile
    after = capacity - tiling.tile_count + tile
    beyond = tile >= tiling.tile_count
    return jnp.where(tile < 0, before, jnp.where(beyond, after, tile))
