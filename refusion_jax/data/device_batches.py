"""Batches drawn on the device: the whole set as bytes, crops cut inside jit.

Everything here is a pure function of (set, key, epoch, step): the same call gives the
same batch, before and after a restart. `streamed_batches` reads the same batches from
disk: `crops` alone decides which pairs and which crops a step has.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from refusion_jax.array_types import Batch
from refusion_jax.data.crops import Crops, Cutting, EpochOrder, Marks, draw_crops
from refusion_jax.data.sources import Luminances
from refusion_jax.methods.protocol import Draw, Stage

# Positions are int32, the widest index that JAX offers without its 64-bit mode.
MAX_PIXELS = 2**31 - 1


class PairSet(NamedTuple):
    """Pairs of any sizes, stored end to end.

    Attributes:
      pixels_a, pixels_b: luminance, 0 to 255.
      offsets: index of each pair's first pixel.
      heights, widths: of each pair.
      labels: of each pixel; None where the data has none.
      marks: of each pair's objects, see `crops.Marks`; None where no crop is laid over
        an object.
    """

    pixels_a: UInt8[Array, " pixels"]
    pixels_b: UInt8[Array, " pixels"]
    offsets: Int[Array, " pairs"]
    heights: Int[Array, " pairs"]
    widths: Int[Array, " pairs"]
    labels: UInt8[Array, " pixels"] | None = None
    marks: Marks | None = None


def fits_on_device(sizes: Sequence[tuple[int, int]], memory_budget: float) -> bool:
    """Returns whether a set is kept on the device rather than streamed from disk.

    Args:
      sizes: (height, width) of each pair.
      memory_budget: bytes that the pictures of both sources may take.

    Returns:
      True if they take no more than that, and can be indexed on the device.
    """
    pixels = sum(height * width for height, width in sizes)
    return 2 * pixels <= memory_budget and pixels <= MAX_PIXELS


def pack(pairs: Sequence[Luminances], marks: Marks | None = None) -> PairSet:
    """Puts a list of pairs on the device.

    Args:
      pairs: uint8 luminance, two arrays of height x width per pair, equal in size, and
        a third one of labels if each pair has them.
      marks: of the pairs' objects.

    Returns:
      The set.

    Raises:
      ValueError: if there are no pairs, or more pixels than can be indexed.
    """
    if not pairs:
        raise ValueError("expected at least one pair to train on, got none; add pairs.")
    sizes = np.array([pair[0].shape for pair in pairs], np.int64)
    counts = sizes.prod(axis=1)
    if counts.sum() > MAX_PIXELS:
        raise ValueError(
            f"expected at most {MAX_PIXELS:,} pixels per source on the device, got "
            f"{counts.sum():,}; use fewer or smaller pictures."
        )
    pixels_a, pixels_b, *labels = (
        jnp.asarray(np.concatenate([picture.ravel() for picture in side]))
        for side in zip(*pairs, strict=True)
    )
    return PairSet(
        pixels_a=pixels_a,
        pixels_b=pixels_b,
        offsets=jnp.asarray(np.cumsum(counts) - counts, jnp.int32),
        heights=jnp.asarray(sizes[:, 0], jnp.int32),
        widths=jnp.asarray(sizes[:, 1], jnp.int32),
        labels=labels[0] if labels else None,
        marks=None if marks is None else jnp.asarray(marks),
    )


def draw_batch(
    pair_set: PairSet,
    key: Array,
    *,
    stream: int,
    epoch: int | Array,
    step: int | Array,
    order: Int[Array, " pairs"],
    count: int,
    crop_size: int,
    augment: bool = True,
    object_share: float = 0,
) -> Batch:
    """Cuts the batch of one step.

    Args:
      pair_set: the pairs; none smaller than the crop.
      key, stream, epoch, step, order, count, crop_size, augment, object_share: see
        `crops.draw_crops`.

    Returns:
      Luminance in [0, 1], count x crop_size x crop_size x 1, and labels if the set has
      them.
    """
    crops = draw_crops(
        pair_set.heights,
        pair_set.widths,
        key,
        stream=stream,
        epoch=epoch,
        step=step,
        order=order,
        count=count,
        crop_size=crop_size,
        augment=augment,
        marks=pair_set.marks,
        object_share=object_share,
    )
    where = jax.vmap(partial(_pixel_positions, pair_set, crop_size))(crops)
    labels = None if pair_set.labels is None else pair_set.labels[where]
    return as_batch(pair_set.pixels_a[where], pair_set.pixels_b[where], labels)


class DeviceBatches:
    """Implements `batches.Batches` for a set that is kept on the device."""

    def __init__(self, pair_set: PairSet, cutting: Cutting) -> None:
        """Remembers the set.

        Args:
          pair_set: as `pack` returns it.
          cutting: how crops are cut.
        """
        self._pair_set, self._cutting = pair_set, cutting

    def pixels(
        self, key: Array, stage: Stage, *, epoch: int, start: int, length: int
    ) -> PairSet:
        """Returns the whole set."""
        del key, stage, epoch, start, length
        return self._pair_set

    def draw(
        self,
        pixels: PairSet,
        key: Array,
        draw: Draw,
        *,
        order: EpochOrder,
        epoch: Array,
        step: Array,
        first: Array,
    ) -> Batch:
        """Cuts one batch out of the set."""
        del first
        return draw_batch(
            pixels,
            key,
            stream=draw.stream,
            epoch=epoch,
            step=step,
            order=getattr(order, draw.part),
            count=self._cutting.count,
            crop_size=self._cutting.size,
            augment=self._cutting.augment,
            object_share=self._cutting.object_share,
        )


def as_batch(
    pixels_a: UInt8[Array, "crops height width"],
    pixels_b: UInt8[Array, "crops height width"],
    labels: UInt8[Array, "crops height width"] | None = None,
) -> Batch:
    """Converts the bytes of crops to a batch.

    Args:
      pixels_a, pixels_b: luminance, 0 to 255.
      labels: of each pixel, or None.

    Returns:
      Luminance in [0, 1], with one channel; labels as they are.
    """
    return Batch(_to_unit_range(pixels_a), _to_unit_range(pixels_b), labels)


def _pixel_positions(
    pair_set: PairSet, crop_size: int, crop: Crops
) -> Int[Array, "crop crop"]:
    """Returns the flat positions of one crop's pixels, already flipped and turned."""
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
