"""The crops of a step, as a pure function of (key, epoch, step).

The same call gives the same crops, before and after a restart, whether their pixels are
on the device (`device_batches`) or read from disk (`streamed_batches`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

# (row, column) of pixels of each pair's objects, -1 in pairs without; see
# `pictures.labels.mark_object`.
Marks = Int[np.ndarray | Array, "pairs marks 2"]

# Random streams used here; a method numbers those of its draws itself, see `Draw`.
ORDER, VALIDATION = 0, 4


@dataclass(frozen=True)
class Cutting:
    """How the crops of a batch are cut.

    Attributes:
      count: crops per batch.
      size: their side, in pixels.
      augment: whether they are flipped and turned.
      object_share: probability that a crop is laid over a mark, see `Marks`.
    """

    count: int
    size: int
    augment: bool
    object_share: float = 0


class EpochOrder(NamedTuple):
    """The order of the pairs in one epoch, as indices.

    A pair that counts several times is as often in its half, and in `all`.

    Attributes:
      first_half, second_half: without a common pair.
      all: every pair, shuffled independently of the halves.
    """

    first_half: Int[Array, " half"]
    second_half: Int[Array, " other_half"]
    all: Int[Array, " pairs"]


class Crops(NamedTuple):
    """Where the crops of a batch lie, and how they are flipped and turned.

    A crop is transposed first, then its rows and columns are flipped.

    Attributes:
      pair: index of the pair.
      top, left: of the crop's first pixel.
      flip_rows, flip_columns, transpose: which of these are applied.
    """

    pair: Int[Array, " crops"]
    top: Int[Array, " crops"]
    left: Int[Array, " crops"]
    flip_rows: Bool[Array, " crops"]
    flip_columns: Bool[Array, " crops"]
    transpose: Bool[Array, " crops"]


def epoch_order(key: Array, epoch: int | Array, repeats: Sequence[int]) -> EpochOrder:
    """Shuffles the pairs for one epoch.

    >>> order = epoch_order(jax.random.key(7), epoch=3, repeats=[1] * 5)
    >>> order.first_half.tolist(), order.second_half.tolist()
    ([1, 2], [4, 0, 3])
    >>> order.all.tolist()
    [3, 4, 1, 2, 0]

    Args:
      key: the run's key.
      epoch: from 0.
      repeats: how often each pair counts, see `sources.repeats_of`; at least two pairs.

    Returns:
      Two halves of the pairs, and all of them in another order. Pairs that count alike
      are halved by themselves, so that a small set of two pairs or more has its weight
      in either half; one pair is in the same half in every epoch.
    """
    key = _stream(key, epoch, ORDER)
    meta_key, fusion_key = jax.random.split(key)
    first_half, second_half = _halves(meta_key, np.asarray(repeats))
    return EpochOrder(
        first_half,
        second_half,
        all=jax.random.permutation(
            fusion_key, np.repeat(np.arange(len(repeats), dtype=np.int32), repeats)
        ),
    )


def _halves(key: Array, repeats: np.ndarray) -> tuple[Array, Array]:
    if (repeats == 1).all():
        order = jax.random.permutation(key, len(repeats))
        return order[: len(repeats) // 2], order[len(repeats) // 2 :]
    halves: tuple[list[Array], list[Array]] = ([], [])
    seen = 0  # pairs so far: the odd ones of several sets go to either half in turn
    for times in np.unique(repeats):
        alike = np.flatnonzero(repeats == times).astype(np.int32)
        order = jax.random.permutation(jax.random.fold_in(key, times), alike)
        middle = (seen + len(alike)) // 2 - seen // 2
        seen += len(alike)
        for half, part in zip(halves, (order[:middle], order[middle:]), strict=True):
            half.append(jnp.repeat(part, int(times)))
    first_key, second_key = jax.random.split(key)
    return (
        jax.random.permutation(first_key, jnp.concatenate(halves[0])),
        jax.random.permutation(second_key, jnp.concatenate(halves[1])),
    )


def draw_crops(
    heights: Int[Array, " pairs"],
    widths: Int[Array, " pairs"],
    key: Array,
    *,
    stream: int,
    epoch: int | Array,
    step: int | Array,
    order: Int[Array, " chosen"],
    count: int,
    crop_size: int,
    augment: bool,
    marks: Marks | None = None,
    object_share: float = 0,
) -> Crops:
    """Draws the crops of a step, without reading a pixel.

    Args:
      heights, widths: of the pairs.
      key: the run's key.
      stream: number of the random stream, one per purpose of a batch.
      epoch, step: step counts from 0 within the epoch and stage.
      order: indices of pairs, which are used in this order, cyclically. Position and
        orientation of the crop are drawn again each time.
      count: number of crops.
      crop_size: side, in pixels; none of the pictures is smaller.
      augment: whether to flip and turn, identically for both sources.
      marks: of the pairs; None: there are none.
      object_share: probability that a crop is laid over one of its pair's marks, which
        then lies anywhere in it.

    Returns:
      The crops, in the order of the batch.
    """
    positions = (step * count + jnp.arange(count)) % order.shape[0]
    keys = jax.random.split(
        jax.random.fold_in(_stream(key, epoch, stream), step), count
    )

    def draw(pair: Array, key: Array) -> Crops:
        top_key, left_key, turn_key = jax.random.split(key, 3)
        # Two flips and a transposition make all eight symmetries of the square.
        turns = jax.random.bernoulli(turn_key, shape=(3,)) & augment
        last = jnp.stack([heights[pair], widths[pair]]) - crop_size
        first = jnp.zeros_like(last)
        if marks is not None:
            mark = _choose_mark(marks[pair], jax.random.fold_in(key, 0), object_share)
            is_laid = mark >= 0
            first = jnp.where(is_laid, jnp.maximum(mark - crop_size + 1, 0), first)
            last = jnp.where(is_laid, jnp.minimum(mark, last), last)
        return Crops(
            pair,
            jax.random.randint(top_key, (), first[0], last[0] + 1),
            jax.random.randint(left_key, (), first[1], last[1] + 1),
            *turns,
        )

    return jax.vmap(draw)(order[positions], keys)


def _choose_mark(marks: Array, key: Array, share: float) -> Array:
    """Returns one of the marks, or -1 with probability 1 - share."""
    share_key, choice_key = jax.random.split(key)
    mark = jax.random.choice(choice_key, marks)
    return jnp.where(jax.random.bernoulli(share_key, share), mark, -1)


def _stream(key: Array, epoch: int | Array, stream: int) -> Array:
    return jax.random.fold_in(jax.random.fold_in(key, epoch), stream)
