"""A run's batches, from the device or from disk, with the same bits."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from refusion_jax.array_types import Batch
from refusion_jax.data.crops import Cutting, EpochOrder, Marks
from refusion_jax.data.device_batches import DeviceBatches, fits_on_device, pack
from refusion_jax.data.sources import Luminances, PairSource, in_order, sizes_of
from refusion_jax.methods.protocol import Draw, Stage
from refusion_jax.pictures.labels import mark_object


class Batches(Protocol):
    """The batches of a run."""

    def pixels(
        self, key: Array, stage: Stage, *, epoch: int, start: int, length: int
    ) -> Any:
        """Returns the pixels from which a dispatch's program cuts its crops.

        Args:
          key: the run's key.
          stage: of the dispatch.
          epoch: from 0.
          start, length: the dispatch's first step, within the stage, and number of
            steps.

        Returns:
          A pytree of arrays, for `draw`.
        """
        ...

    def draw(
        self,
        pixels: Any,
        key: Array,
        draw: Draw,
        *,
        order: EpochOrder,
        epoch: Array,
        step: Array,
        first: Array,
    ) -> Batch:
        """Returns one batch; pure, inside jit.

        Args:
          pixels: as `pixels` returned them.
          key: the run's key.
          draw: selects the batch among those of the step.
          order: of the epoch.
          epoch, step: step counts from 0 within the epoch and stage.
          first: the dispatch's first step.
        """
        ...


def open_batches(
    pairs: PairSource,
    cutting: Cutting,
    *,
    memory_budget: float,
    reader_count: int,
    put: Callable[[Any], Any],
    mesh: Mesh,
) -> Batches:
    """Puts the pairs on the devices, or streams them if they would exceed the budget.

    Args:
      pairs: uint8 luminance, none smaller than the crops.
      cutting: how crops are cut.
      memory_budget: bytes that the pictures may take on the device.
      reader_count: processes that read a streamed set; 0 reads in threads.
      put: copies a pytree to the devices.
      mesh: the devices that share each batch.

    Raises:
      ImportError: if the pairs are to be streamed and Grain is not installed.
      ValueError: if crops are to be laid over objects and there are none.
    """
    marks = mark_objects(pairs) if cutting.object_share else None
    if fits_on_device(sizes_of(pairs), memory_budget):
        return DeviceBatches(put(pack([*in_order(pairs)], marks)), cutting)
    # Only streaming needs Grain.
    from refusion_jax.data.streamed_batches import StreamedBatches

    return StreamedBatches(
        pairs, cutting, marks=marks, worker_count=reader_count, mesh=mesh
    )


def mark_objects(pairs: PairSource) -> Marks:
    """Marks pixels of objects in each pair, over which crops can be laid.

    Args:
      pairs: with labels.

    Raises:
      ValueError: if the pairs have no labels, or none of them has an object.
    """
    marks = np.stack([mark_object(_labels(pair)) for pair in in_order(pairs)])
    if (marks < 0).all():
        raise ValueError(
            "expected two labelled classes in at least one picture, to lay crops over "
            "the rarer one, got none; set object_share to 0."
        )
    return marks


def _labels(pair: Luminances) -> np.ndarray:
    if len(pair) < 3:
        raise ValueError(
            "expected labels with every pair, to lay crops over objects, got none; "
            "name their folder with --labels=FOLDER, or set object_share to 0."
        )
    return pair[2]
