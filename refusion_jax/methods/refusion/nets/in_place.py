"""Passes over tiles that are updated in place: one map of features at a time.

Training keeps what the backward pass needs; inference needs one map of features.

- A pass reads a tile, computes, and writes it back over itself; since a tile brings its
  halo with it, no tile sees another one's new values.
- After each pass the halos are taken anew from the neighbours, on other devices too.
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
Place = tuple[int, int]  # row and column, or how many of them
TileAndColumn = tuple[Array | int, int]
# Maps a tile with its halo and the mask that belongs to it to a tile without halo.
Body = Callable[[Array, Array], Array]
AT_ONCE = 32  # tiles whose edges are sent to another device together


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


def total(
    body: Callable[[Array, Array], Total], features: InPlace, tiling: Tiling
) -> Total:
    """The sum of what a function says of each tile.

    Args:
      body: of a tile with halo and its mask.
      features: read only.
      tiling: of the picture.

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
        result = body(tile, mask_of(index, tiling, features.state.dtype))
        return _write(state, result, index, features.first, tiling)

    state = jax.lax.fori_loop(0, tiling.tile_count, step, features.state)
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
        result = body(tiles[index][None], mask_of(index, tiling, features.state.dtype))
        return _write(state, result, index, features.first, tiling)

    state = jax.lax.fori_loop(0, tiling.tile_count, step, features.state)
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
    # Once: XLA:CPU reads the tile anew for the residual otherwise.
    return computed_once(tile.reshape(features.channels, -1))


def _write(
    state: Array, result: Array, index: Array, first: Array | int, tiling: Tiling
) -> Array:
    """Writes whole rows; what comes into their halo is renewed afterwards."""
    rows = jnp.pad(result, ((0, 0), (1, 1))).reshape(
        1, -1, tiling.tile.rows, tiling.tile.stride
    )
    return jax.lax.dynamic_update_slice(state, rows, (index, first, 1, 0))


@jax.jit  # traced once for all passes: tracing is most of a warm start
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

    state = jax.lax.fori_loop(0, tiling.tile_count, columns, features.state)
    if tiling.devices > 1:
        state = _exchange_columns(dataclasses.replace(features, state=state), tiling)
    state = jax.lax.fori_loop(0, tiling.tile_count, rows, state)
    return dataclasses.replace(features, state=state)


def _exchange_columns(features: InPlace, tiling: Tiling) -> Array:
    """Halos between the last band of a device and the first band of the next one."""
    down, last = tiling.down, tiling.tile.columns
    first_tile, last_tile = 0, tiling.tile_count - down
    size = (1, features.channels, tiling.tile.rows, 1)
    devices = range(tiling.devices)

    def send(take: TileAndColumn, put: TileAndColumn, step: int, state: Array) -> Array:
        pairs = [(i, i + step) for i in devices if i + step in devices]

        def of_group(group: Array, state: Array) -> Array:
            begin = group * AT_ONCE
            count = jnp.minimum(AT_ONCE, down - begin)

            def gather(index: Array, edge: Array) -> Array:
                start = (take[0] + begin + index, features.first, 1, take[1])
                piece = jax.lax.dynamic_slice(state, start, size)
                return jax.lax.dynamic_update_slice(edge, piece, (index, 0, 0, 0))

            def scatter(index: Array, state: Array) -> Array:
                piece = jax.lax.dynamic_slice(edge, (index, 0, 0, 0), size)
                start = (put[0] + begin + index, features.first, 1, put[1])
                return jax.lax.dynamic_update_slice(state, piece, start)

            nothing = jnp.zeros((AT_ONCE, *size[1:]), state.dtype)
            edge = jax.lax.fori_loop(0, count, gather, nothing)
            edge = jax.lax.ppermute(edge, AXIS, pairs)
            return jax.lax.fori_loop(0, count, scatter, state)

        return jax.lax.fori_loop(0, (down + AT_ONCE - 1) // AT_ONCE, of_group, state)

    state = send((last_tile, last), (first_tile, 0), 1, features.state)
    return send((first_tile, 1), (last_tile, last + 1), -1, state)
