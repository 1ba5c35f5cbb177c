"""Saves and restores runs: the only module that imports Orbax.

Orbax writes atomically and in the background, but restores a file with a flipped bit
without noticing. Therefore each checkpoint contains a SHA-256 of every item, which is
verified on restore; a checkpoint that fails is reported and the one before it is used.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import numpy as np
import orbax.checkpoint as ocp

from refusion_jax.devices.hosts import highest, is_first
from refusion_jax.methods.protocol import TrainState
from refusion_jax.training.signals import Interrupted

_LOG = logging.getLogger(__name__)
_RECORD = "record"
_METRIC = "validation"


class Restored(NamedTuple):
    """A verified checkpoint.

    Attributes:
      state: the state that was saved.
      record: the JSON record saved with it.
    """

    state: TrainState
    record: dict[str, Any]


class Checkpointer:
    """Keeps the newest checkpoints and the best one; a context manager.

    Leaving the context waits for the last save, which would otherwise be lost.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        """Opens or creates a folder of checkpoints.

        Args:
          folder: folder of the checkpoints; half-written ones in it are removed.
          keep: number of newest checkpoints to keep, besides the best.
        """
        logging.getLogger("absl").addFilter(_is_not_of_orbax)
        policies = ocp.checkpoint_managers
        self._folder = folder.resolve()
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(keep),
                        policies.BestN(
                            get_metric_fn=lambda metrics: metrics[_METRIC],
                            reverse=True,
                            n=1,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
                cleanup_tmp_directories=True,
            ),
        )

    def __enter__(self) -> Self:
        """Returns itself: the constructor has opened the folder."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for the save in progress, unless it would be for other hosts in vain.

        After an error, they may be elsewhere in the run, or gone.
        """
        is_agreed = error is None or isinstance(error, Interrupted)
        if is_agreed or jax.process_count() == 1:
            with self._naming_full_disks():
                self._manager.close()

    @contextmanager
    def _naming_full_disks(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # of TensorStore, by which Orbax writes
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise OSError(
                f"expected room for a checkpoint in {self._folder}, got a full disk; "
                "free some space; the same command resumes from the last checkpoint."
            ) from error

    def save(
        self,
        state: TrainState,
        *,
        record: Mapping[str, Any],
        validation: float | None = None,
    ) -> None:
        """Saves in the background; returns once the state is copied.

        Args:
          state: the state to save; may be donated or changed once this returns.
          record: JSON record: config, data fingerprint.
          validation: decides which checkpoint is the best, lower is better; None is
            never the best.

        Raises:
          OSError: if the disk is full, now or at the save before.
        """
        # Real copies, because on CPUs device_get may return views of buffers that the
        # next step, to which the state is donated, overwrites while Orbax reads them.
        items = jax.tree.map(lambda x: np.array(x, copy=True), _to_items(state))
        checksums = {name: _checksum(item) for name, item in items.items()}
        arguments = ocp.args.Composite(
            **{name: ocp.args.StandardSave(item) for name, item in items.items()},
            **{_RECORD: ocp.args.JsonSave({**record, "sha256": checksums})},
        )
        metrics = None if validation is None else {_METRIC: validation}
        with self._naming_full_disks():
            self._manager.save(
                int(state.step), args=arguments, metrics=metrics, force=True
            )

    def restore_newest(self, like: TrainState) -> Restored | None:
        """Restores the newest checkpoint whose checksums match.

        Newer checkpoints that are damaged are logged with the reason and moved to
        `damaged/` beside the folder, because the resumed run will save those steps
        again.

        Args:
          like: a state of the same structure, for shapes, types and devices.

        Returns:
          The restored state and record; None if nothing has been saved yet.

        Raises:
          ValueError: if there are checkpoints but all are damaged.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self.restore(step, like)
            # Any exception, because a damaged file can fail in any storage layer.
            except Exception as error:
                damaged[step] = _in_words(error)
                _LOG.warning("Checkpoint %d is damaged: %s.", step, damaged[step])
                continue
            self._move_aside(damaged)
            return restored
        if damaged:
            reasons = "; ".join(f"{step}: {why}" for step, why in damaged.items())
            raise ValueError(
                f"expected a usable checkpoint in {self._folder}, got damaged ones "
                f"({reasons}); use another workdir to start over."
            )
        return None

    def _move_aside(self, steps: Iterable[int]) -> None:
        target = self._folder.parent / "damaged"
        for step in steps if is_first() else ():
            target.mkdir(exist_ok=True)
            shutil.rmtree(target / str(step), ignore_errors=True)
            (self._folder / str(step)).rename(target / str(step))
            _LOG.warning("Moved checkpoint %d to %s.", step, target / str(step))
        highest(0)  # the others wait until it is done
        self._manager.reload()

    @property
    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, in order."""
        return sorted(self._manager.all_steps())

    def restore(self, step: int, like: TrainState) -> Restored:
        """Restores one checkpoint and verifies it.

        Args:
          step: one of `steps`.
          like: as for `restore_newest`.

        Raises:
          Exception: of any layer of storage, if it is damaged.
        """
        template = _to_items(like)
        abstract = {
            name: jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
                item,
            )
            for name, item in template.items()
        }
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                **{n: ocp.args.StandardRestore(item) for n, item in abstract.items()},
                **{_RECORD: ocp.args.JsonRestore()},
            ),
        )
        record = dict(restored[_RECORD])
        checksums = record.pop("sha256")
        for name in template:
            if _checksum(restored[name]) != checksums[name]:
                raise ValueError(
                    f"expected {name!r} as its SHA-256 says, got other bytes"
                )
        return Restored(_from_items(restored, like), record)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Tells apart what Orbax logs, with a trace, and raises as well."""
    return f"{os.sep}orbax{os.sep}" not in record.pathname


def _to_items(state: TrainState) -> dict[str, Any]:
    """Returns the parts of a state that are stored separately, as plain arrays."""
    items = {
        **{f"params_{k}": v for k, v in state.params._asdict().items()},
        **{f"optimizer_{k}": v for k, v in state.opt_states._asdict().items()},
        "progress": {"step": state.step, "key": jax.random.key_data(state.key)},
    }
    # Orbax cannot save empty trees, but an optimiser may have no state.
    return {name: item for name, item in items.items() if jax.tree.leaves(item)}


def _from_items(items: Mapping[str, Any], like: TrainState) -> TrainState:
    """Returns a state from its stored parts; empty parts are taken from `like`."""

    def rebuilt(kind: str, trees: Any) -> Any:
        saved = {
            name: items[f"{kind}_{name}"]
            for name, tree in trees._asdict().items()
            if jax.tree.leaves(tree)
        }
        return trees._replace(**saved)

    return TrainState(
        params=rebuilt("params", like.params),
        opt_states=rebuilt("optimizer", like.opt_states),
        step=items["progress"]["step"],
        key=jax.random.wrap_key_data(items["progress"]["key"]),
    )


def _checksum(tree: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        label = f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}"
        digest.update(label.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _in_words(error: Exception) -> str:
    """Returns the first line of an error, behind its kind unless it is a sentence."""
    line = str(error).strip().split("\n")[0]
    return line if isinstance(error, ValueError) else f"{type(error).__name__}: {line}"
