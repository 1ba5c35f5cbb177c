"""Batches drawn on the device: the whole set as bytes, crops cut inside jit.

Everything here is a pure function of (set, key, epoch, step): the same call gives the
same batch, before and after a restart.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from refusion_jax.meta.state import Batch, add_swapped_copies, make_batch

# Positions are int32, the widest index that JAX has without float64 mode.
MAX_PIXELS = 2**31 - 1


class Stage(IntEnum):
    """What a draw is for; each has a random stream of its own."""

    ORDER = 0
    META_TRAIN = 1
    META_TEST = 2
    FUSION = 3
    VALIDATION = 4


class PairSet(NamedTuple):
    """Pairs of any sizes, their pixels end to end.

    Attributes:
      pixels_a, pixels_b: luminance, 0 to 255.
      offsets: index of each pair's first pixel.
      heights, widths: of each pair.
    """

    pixels_a: UInt8[Array, " pixels"]
    pixels_b: UInt8[Array, " pixels"]
    offsets: Int[Array, " pairs"]
    heights: Int[Array, " pairs"]
    widths: Int[Array, " pairs"]


class EpochOrder(NamedTuple):
    """Which pair comes when in one epoch; meta-train and meta-test are disjoint."""

    meta_train: Int[Array, " half"]
    meta_test: Int[Array, " other_half"]
    fusion: Int[Array, " pairs"]


def pack(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> PairSet:
    """Puts a list of pairs on the device.

    Args:
      pairs: uint8 luminance, two arrays height x width each; sizes equal in a pair.

    Returns:
      The set.

    Raises:
      ValueError: if there is none, or more pixels than can be indexed.
    """
    if not pairs:
        raise ValueError("Expected at least one pair to train on, got none.")
    sizes = np.array([a.shape for a, _ in pairs], np.int64)
    counts = sizes.prod(axis=1)
    if counts.sum() > MAX_PIXELS:
        raise ValueError(
            f"The set has {counts.sum():,} pixels a source, more than the "
            f"{MAX_PIXELS:,} that fit on the device; use fewer or smaller pictures."
        )
    return PairSet(
        pixels_a=jnp.asarray(np.concatenate([a.ravel() for a, _ in pairs])),
        pixels_b=jnp.asarray(np.concatenate([b.ravel() for _, b in pairs])),
        offsets=jnp.asarray(np.cumsum(counts) - counts, jnp.int32),
        heights=jnp.asarray(sizes[:, 0], jnp.int32),
        widths=jnp.asarray(sizes[:, 1], jnp.int32),
    )


def epoch_order(key: Array, epoch: int | Array, count: int) -> EpochOrder:
    """Shuffles the pairs for one epoch.

    Args:
      key: the run's key.
      epoch: from 0.
      count: number of pairs, at least 2.

    Returns:
      Two disjoint halves for the meta steps, all pairs for the fusion steps.
    """
    key = _stream(key, epoch, Stage.ORDER)
    meta_key, fusion_key = jax.random.split(key)
    order = jax.random.permutation(meta_key, count)
    return EpochOrder(
        meta_train=order[: count // 2],
        meta_test=order[count // 2 :],
        fusion=jax.random.permutation(fusion_key, count),
    )


def draw_batch(
    pair_set: PairSet,
    key: Array,
    *,
    stage: Stage,
    epoch: int | Array,
    step: int | Array,
    order: Int[Array, " pairs"],
    batch_size: int,
    crop_size: int,
    augment: bool = True,
    swap: bool = False,
) -> Batch:
    """The batch of one step.

    Pairs come in the given order, again from its start when it ends; where in a
    picture, and how it is turned, is drawn anew each time.

    Args:
      pair_set: the pairs; none smaller than the crop.
      key: the run's key.
      stage: what the batch is for.
      epoch, step: step counts from 0 within the epoch and stage.
      order: indices of pairs.
      batch_size: pairs in the batch, swapped copies included.
      crop_size: pixels.
      augment: flips and quarter turns, the same for both sources.
      swap: draw half as many pairs and add copies with exchanged sources.

    Returns:
      Luminance in [0, 1], batch_size x crop_size x crop_size x 1.
    """
    drawn = batch_size // 2 if swap else batch_size
    positions = (step * drawn + jnp.arange(drawn)) % order.shape[0]
    keys = jax.random.split(jax.random.fold_in(_stream(key, epoch, stage), step), drawn)

    def crop(index: Array, key: Array) -> tuple[Array, Array]:
        where = _crop_positions(pair_set, index, key, crop_size, augment)
        return pair_set.pixels_a[where], pair_set.pixels_b[where]

    crops = jax.vmap(crop)(order[positions], keys)
    batch = make_batch(*(_to_unit_range(pixels) for pixels in crops))
    return add_swapped_copies(batch) if swap else batch


def _stream(key: Array, epoch: int | Array, stage: Stage) -> Array:
    return jax.random.fold_in(jax.random.fold_in(key, epoch), int(stage))


def _crop_positions(
    pair_set: PairSet, index: Array, key: Array, crop_size: int, augment: bool
) -> Int[Array, "crop crop"]:
    """Flat positions of a random crop's pixels, already flipped and turned."""
    height, width = pair_set.heights[index], pair_set.widths[index]
    top_key, left_key, turn_key = jax.random.split(key, 3)
    top = jax.random.randint(top_key, (), 0, height - crop_size + 1)
    left = jax.random.randint(left_key, (), 0, width - crop_size + 1)
    rows, columns = jnp.meshgrid(
        jnp.arange(crop_size), jnp.arange(crop_size), indexing="ij"
    )
    if augment:
        # Two flips and a transposition make all eight symmetries of the square.
        flip_rows, flip_columns, transpose = jax.random.bernoulli(turn_key, shape=(3,))
        rows = jnp.where(flip_rows, crop_size - 1 - rows, rows)
        columns = jnp.where(flip_columns, crop_size - 1 - columns, columns)
        rows, columns = (
            jnp.where(transpose, columns, rows),
            jnp.where(transpose, rows, columns),
        )
    return pair_set.offsets[index] + (top + rows) * width + left + columns


def _to_unit_range(pixels: UInt8[Array, "batch height width"]) -> Float[Array, "..."]:
    return pixels[..., None].astype(jnp.float32) / 255
