"""Batches drawn on the device: the whole set as bytes, crops cut inside jit.

Everything here is a pure function of (set, key, epoch, step): the same call gives the
same batch, before and after a restart. `streamed_batches` reads the same batches from
the disk: which pairs and which crops a step has is decided in `crops` alone.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from refusion_jax.data.crops import Crops, Stage, draw_crops
from refusion_jax.methods.refusion.state import Batch, add_swapped_copies, make_batch

# Positions are int32, the widest index that JAX has without float64 mode.
MAX_PIXELS = 2**31 - 1


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


def fits_on_device(sizes: Sequence[tuple[int, int]], memory_budget: float) -> bool:
    """Whether a set is to live on the device, or to be streamed by `data.pipeline`.

    Args:
      sizes: (height, width) of each pair.
      memory_budget: bytes that the pictures of both sources may take.

    Returns:
      True if they take no more, and can be indexed on the device.
    """
    pixels = sum(height * width for height, width in sizes)
    return 2 * pixels <= memory_budget and pixels <= MAX_PIXELS


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
    crops = draw_crops(
        pair_set.heights,
        pair_set.widths,
        key,
        stage=stage,
        epoch=epoch,
        step=step,
        order=order,
        count=crops_in_batch(batch_size, swap),
        crop_size=crop_size,
        augment=augment,
    )
    where = jax.vmap(partial(_pixel_positions, pair_set, crop_size))(crops)
    return as_batch(pair_set.pixels_a[where], pair_set.pixels_b[where], swap=swap)


def crops_in_batch(batch_size: int, swap: bool) -> int:
    """How many crops are drawn for a batch: with swapped copies, half of it."""
    return batch_size // 2 if swap else batch_size


def as_batch(
    pixels_a: UInt8[Array, "crops height width"],
    pixels_b: UInt8[Array, "crops height width"],
    *,
    swap: bool = False,
) -> Batch:
    """The batch of some crops' bytes.

    Args:
      pixels_a, pixels_b: luminance, 0 to 255.
      swap: add copies with exchanged sources.

    Returns:
      Luminance in [0, 1], with one channel.
    """
    batch = make_batch(_to_unit_range(pixels_a), _to_unit_range(pixels_b))
    return add_swapped_copies(batch) if swap else batch


def _pixel_positions(
    pair_set: PairSet, crop_size: int, crop: Crops
) -> Int[Array, "crop crop"]:
    """Flat positions of one crop's pixels, already flipped and turned."""
    rows, columns = jnp.meshgrid(
        jnp.arange(crop_size), jnp.arange(crop_size), indexing="ij"
    )
    rows = jnp.where(crop.flip_rows, crop_size - 1 - rows, rows)
    columns = jnp.where(crop.flip_columns, crop_size - 1 - columns, columns)
    rows, columns = (
        jnp.where(crop.transpose, columns, rows),
        jnp.where(crop.transpose, rows, columns),
    )
    start = pair_set.offsets[crop.pair]
    width = pair_set.widths[crop.pair]
    return start + (crop.top + rows) * width + crop.left + columns


def _to_unit_range(pixels: UInt8[Array, "batch height width"]) -> Float[Array, "..."]:
    return pixels[..., None].astype(jnp.float32) / 255
