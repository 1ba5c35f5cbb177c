"""Which crops a step has: a pure function of (key, epoch, step).

The same call gives the same crops, before and after a restart, whether their pixels lie
on the device (`device_batches`) or are read from the disk (`streamed_batches`).
"""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class Stage(IntEnum):
    """What a draw is for; each has a random stream of its own."""

    ORDER = 0
    META_TRAIN = 1
    META_TEST = 2
    FUSION = 3
    VALIDATION = 4


class EpochOrder(NamedTuple):
    """Which pair comes when in one epoch; meta-train and meta-test are disjoint."""

    meta_train: Int[Array, " half"]
    meta_test: Int[Array, " other_half"]
    fusion: Int[Array, " pairs"]


class Crops(NamedTuple):
    """Where the crops of a batch lie, and how they are turned.

    A crop is transposed first, then its rows and columns are flipped.

    Attributes:
      pair: index of the pair.
      top, left: of the crop's first pixel.
      flip_rows, flip_columns, transpose: which of them are done.
    """

    pair: Int[Array, " crops"]
    top: Int[Array, " crops"]
    left: Int[Array, " crops"]
    flip_rows: Bool[Array, " crops"]
    flip_columns: Bool[Array, " crops"]
    transpose: Bool[Array, " crops"]


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


def draw_crops(
    heights: Int[Array, " pairs"],
    widths: Int[Array, " pairs"],
    key: Array,
    *,
    stage: Stage,
    epoch: int | Array,
    step: int | Array,
    order: Int[Array, " chosen"],
    count: int,
    crop_size: int,
    augment: bool,
) -> Crops:
    """Which crops a step has, without reading a pixel.

    Args:
      heights, widths: of the pairs.
      key, stage, epoch, step, order, crop_size, augment: as for `draw_batch`.
      count: number of crops.

    Returns:
      The crops, in the order of the batch.
    """
    positions = (step * count + jnp.arange(count)) % order.shape[0]
    keys = jax.random.split(jax.random.fold_in(_stream(key, epoch, stage), step), count)

    def draw(pair: Array, key: Array) -> Crops:
        top_key, left_key, turn_key = jax.random.split(key, 3)
        # Two flips and a transposition make all eight symmetries of the square.
        turns = jax.random.bernoulli(turn_key, shape=(3,)) & augment
        return Crops(
            pair,
            jax.random.randint(top_key, (), 0, heights[pair] - crop_size + 1),
            jax.random.randint(left_key, (), 0, widths[pair] - crop_size + 1),
            *turns,
        )

    return jax.vmap(draw)(order[positions], keys)


def _stream(key: Array, epoch: int | Array, stage: Stage) -> Array:
    return jax.random.fold_in(jax.random.fold_in(key, epoch), int(stage))
