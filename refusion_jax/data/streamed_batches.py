"""Batches read from disk, for sets that do not fit on the device.

They equal, bit for bit, those that `device_batches.draw_batch` cuts on the device: the
same `crops.draw_crops` chooses the crops, here for a whole stage of an epoch at once.
Reading and cutting then need neither random numbers nor state: batch n is `dataset[n]`,
in any process and after any number of interruptions.

    crops = plan(pairs.sizes, key, stream=3, epoch=0, steps=1600, ...)
    dataset = stream_crops(pairs, crops, crop_size=128, crops_in_step=4)
    for pixels_a, pixels_b in iterate(dataset, start=step):
        batch = as_batch(pixels_a, pixels_b)      # inside jit
"""

from collections.abc import Generator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.sharding import Mesh
from jaxtyping import Array, Int, UInt8

from refusion_jax.array_types import Batch
from refusion_jax.data.crops import (
    Crops,
    Cutting,
    EpochOrder,
    Marks,
    draw_crops,
    epoch_order,
)
from refusion_jax.data.device_batches import as_batch
from refusion_jax.data.sources import PairSource, repeats_of, sizes_of
from refusion_jax.devices.hosts import joined, on_this_host
from refusion_jax.extras import require
from refusion_jax.methods.protocol import Draw, Stage

if TYPE_CHECKING:
    import grain
else:
    grain = require("grain", extra="data", why="to stream pairs above memory_budget")

# Of source a, source b, and labels where the pairs have them.
Pixels = tuple[UInt8[np.ndarray, "crops crop crop"], ...]


def plan(
    sizes: Sequence[tuple[int, int]],
    key: Array,
    *,
    stream: int,
    epoch: int,
    steps: int,
    order: Int[Array, " chosen"],
    crops_in_step: int,
    crop_size: int,
    augment: bool,
    marks: Marks | None = None,
    object_share: float = 0,
) -> Crops:
    """Draws all crops of one stage of one epoch, on the host.

    Args:
      sizes: (height, width) of each pair.
      key, stream, epoch, order, crop_size, augment, marks, object_share: as for
        `crops.draw_crops`.
      steps: number of steps in the stage.
      crops_in_step: crops per batch.

    Returns:
      The crops of step 0, then those of step 1, and so on.
    """
    heights, widths = np.array(sizes, np.int32).T
    crops = _draw_stage(
        heights,
        widths,
        key,
        jnp.asarray(epoch, jnp.int32),
        order,
        stream=stream,
        steps=steps,
        count=crops_in_step,
        crop_size=crop_size,
        augment=augment,
        marks=marks,
        object_share=object_share,
    )
    return jax.tree.map(lambda each: np.asarray(each).reshape(-1), crops)


@partial(
    jax.jit,
    static_argnames=(
        "stream",
        "steps",
        "count",
        "crop_size",
        "augment",
        "object_share",
    ),
)
def _draw_stage(
    heights: Array,
    widths: Array,
    key: Array,
    epoch: Array,
    order: Array,
    *,
    steps: int,
    **options: Any,
) -> Crops:
    def draw(step: Array) -> Crops:
        return draw_crops(
            heights, widths, key, epoch=epoch, step=step, order=order, **options
        )

    return jax.vmap(draw)(jnp.arange(steps))


def stream_crops(
    pairs: PairSource,
    crops: Crops,
    *,
    crop_size: int,
    crops_in_step: int,
    process_index: int = 0,
    process_count: int = 1,
) -> "grain.MapDataset[Pixels]":
    """Opens the pixels of each step's crops, which are read on demand.

    With several processes, each reads its own part of every batch: the parts of process
    0, 1, ... in this order make up the batch, as sharding over `data` expects.

    Args:
      pairs: to read from.
      crops: of `plan`.
      crop_size: side of a crop.
      crops_in_step: crops per batch, of all processes together.
      process_index, process_count: of this process.

    Returns:
      A dataset whose n-th element is the n-th step's pixels of a, of b, and labels if
      there are any, each uint8 of shape (crops_in_step / process_count, crop_size,
      crop_size).

    Raises:
      ValueError: if the crops of a step cannot be shared equally.
    """
    if crops_in_step % process_count or not 0 <= process_index < process_count:
        raise ValueError(
            f"expected {crops_in_step} crops to be shared equally by {process_count} "
            f"processes counted from 0, got process {process_index}; choose a "
            "batch_size that is a multiple of the number of processes, or of twice "
            "that number with swap, which draws half as many crops."
        )
    share = crops_in_step // process_count
    mine = np.arange(len(crops.pair)).reshape(-1, process_count, share)[
        :, process_index
    ]
    own = Crops(*(each[mine.reshape(-1)] for each in crops))
    source = grain.MapDataset.source(_CropReader(pairs, own, crop_size))
    return source.batch(share, drop_remainder=True)


def iterate(
    stream: "grain.MapDataset[Pixels]",
    *,
    start: int = 0,
    worker_count: int = 0,
    threads: int = 2,
) -> Generator[Pixels]:
    """Iterates over the batches in order, reading ahead.

    Args:
      stream: as `stream_crops` returns it.
      start: the first step, for resuming in the middle of a stage.
      worker_count: processes that read; 0 reads in threads of this one. Starting a
        process takes seconds, which pays only if decoding limits the speed.
      threads: per process.

    Yields:
      The batches of steps start, start + 1, ...; the same for every worker_count.
    """
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    batches = stream[start:].to_iter_dataset(options)
    if worker_count:
        # Grain reads an absl flag, which fails in programs that parse no flags.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        batches = batches.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=worker_count)
        )
    iterator = iter(batches)
    try:
        yield from iterator
    finally:
        iterator.close()


class StageReader:
    """Reads stage after stage, some steps at a time, and reads ahead."""

    def __init__(
        self,
        pairs: PairSource,
        cutting: Cutting,
        *,
        marks: Marks | None = None,
        worker_count: int = 0,
    ) -> None:
        """Reads nothing yet.

        Args:
          pairs: to cut from.
          cutting: how crops are cut.
          marks: as for `plan`.
          worker_count: as for `iterate`.
        """
        self._pairs, self._worker_count = pairs, worker_count
        self._cutting, self._marks = cutting, marks
        self._next_step: dict[int, tuple[int, int]] = {}
        self._batches: dict[int, Generator[Pixels]] = {}

    def read(
        self,
        key: Array,
        *,
        stream: int,
        epoch: int,
        order: Int[Array, " chosen"],
        steps: int,
        start: int,
        length: int,
    ) -> Pixels:
        """Returns the pixels of consecutive steps.

        Args:
          key, stream, epoch, order: as for `device_batches.draw_batch`.
          steps: number of steps in the whole stage.
          start: the first step to return; any, for example after a restart.
          length: number of steps to return.

        Returns:
          uint8 of a, b and labels if any, each (length, crops_in_step, crop_size,
          crop_size); of several hosts, each has its own part of the crops.
        """
        if self._next_step.get(stream) != (epoch, start):
            # Not the steps after the last ones read: plan this stage, or plan it again.
            self.close(stream)
            crops = plan(
                sizes_of(self._pairs),
                key,
                stream=stream,
                epoch=epoch,
                steps=steps,
                order=order,
                crops_in_step=self._cutting.count,
                crop_size=self._cutting.size,
                augment=self._cutting.augment,
                marks=self._marks,
                object_share=self._cutting.object_share,
            )
            dataset = stream_crops(
                self._pairs,
                crops,
                crop_size=self._cutting.size,
                crops_in_step=self._cutting.count,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            self._batches[stream] = iterate(
                dataset, start=start, worker_count=self._worker_count
            )
        batches = list(islice(self._batches[stream], length))
        self._next_step[stream] = (epoch, start + length)
        return tuple(np.stack(side) for side in zip(*batches, strict=True))

    def close(self, stream: int | None = None) -> None:
        """Stops reading ahead, for one stream or, if None, for all."""
        for each in list(self._batches) if stream is None else [stream]:
            self._next_step.pop(each, None)
            if (batches := self._batches.pop(each, None)) is not None:
                batches.close()


class StreamedBatches:
    """Implements `batches.Batches` for a set that is read during training."""

    def __init__(
        self,
        pairs: PairSource,
        cutting: Cutting,
        *,
        mesh: Mesh,
        marks: Marks | None = None,
        worker_count: int = 0,
    ) -> None:
        """Reads nothing yet.

        Args:
          pairs: to cut from.
          cutting: how crops are cut.
          mesh: the devices that share each batch.
          marks: as for `plan`.
          worker_count: as for `iterate`.
        """
        self._repeats, self._mesh = repeats_of(pairs), mesh
        self._reader = StageReader(
            pairs, cutting, marks=marks, worker_count=worker_count
        )

    def pixels(
        self, key: Array, stage: Stage, *, epoch: int, start: int, length: int
    ) -> dict[str, Pixels]:
        """Returns the crops of a dispatch's steps, by the names of the draws."""
        key = on_this_host(key)
        order = epoch_order(key, jnp.asarray(epoch, jnp.int32), self._repeats)
        own = {
            draw.name: self._reader.read(
                key,
                stream=draw.stream,
                epoch=epoch,
                order=getattr(order, draw.part),
                steps=stage.steps,
                start=start,
                length=length,
            )
            for draw in stage.draws
        }
        return joined(own, self._mesh)

    def draw(
        self,
        pixels: dict[str, tuple[Array, ...]],
        key: Array,
        draw: Draw,
        *,
        order: EpochOrder,
        epoch: Array,
        step: Array,
        first: Array,
    ) -> Batch:
        """Takes one batch from the crops that `pixels` has read."""
        del key, order, epoch
        return as_batch(*(side[step - first] for side in pixels[draw.name]))


class _CropReader:
    """Reads crops by number; can be pickled if the pairs can."""

    def __init__(self, pairs: PairSource, crops: Crops, crop_size: int) -> None:
        self._pairs, self._crops, self._crop_size = pairs, crops, crop_size

    def __len__(self) -> int:
        return len(self._crops.pair)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        crop = Crops(*(each[index] for each in self._crops))
        pair = self._pairs[int(crop.pair)]
        return tuple(cut(picture, crop, self._crop_size) for picture in pair)


def cut(picture: np.ndarray, crop: Crops, crop_size: int) -> np.ndarray:
    """Cuts one crop out of a picture, then turns and flips it.

    Args:
      picture: uint8 luminance, (height, width).
      crop: a single crop.
      crop_size: its side, in pixels.

    Returns:
      uint8, crop_size x crop_size.
    """
    top, left = int(crop.top), int(crop.left)
    window = picture[top : top + crop_size, left : left + crop_size]
    if crop.transpose:
        window = window.T
    if crop.flip_rows:
        window = window[::-1]
    if crop.flip_columns:
        window = window[:, ::-1]
    return np.ascontiguousarray(window)
