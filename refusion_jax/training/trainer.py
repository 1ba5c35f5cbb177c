"""The training loop: dispatch, log, save, resume. No mathematics."""

import json
import logging
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import jax
import numpy as np
from tqdm import tqdm

from refusion_jax.data.sources import ChosenPairs, PairSource, fingerprint
from refusion_jax.files.atomic import replace_file
from refusion_jax.methods.refusion.maps import look
from refusion_jax.methods.refusion.state import TrainState
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.reporting.panel import make_panel
from refusion_jax.training.checkpoint import Checkpointer
from refusion_jax.training.config import Config, to_flat
from refusion_jax.training.program import Dispatch, Program, schedule
from refusion_jax.training.scalars import ScalarLog
from refusion_jax.weights.store import save_weights

_LOG = logging.getLogger(__name__)
MAX_PANEL_SIDE = 512  # pixels; of larger pictures the centre is shown
# Settings that a run may change when it goes on: no step depends on them.
FREE_TO_CHANGE = (
    "dataset",
    "data_dir",
    "source_a",
    "source_b",
    "memory_budget",
    "reader_count",
    "save_every",
    "keep_checkpoints",
)


class NonFiniteError(ArithmeticError):
    """A loss or a gradient is not a number; the message names step and term."""


class Interrupted(Exception):
    """A signal ended the run, after it was saved.

    Attributes:
      signal_number: SIGTERM's or SIGINT's.
    """

    def __init__(self, signal_number: int, step: int) -> None:
        """Says what happened and how to go on."""
        super().__init__(
            f"Stopped by {signal.Signals(signal_number).name}, saved at step {step}; "
            "the same command goes on from there."
        )
        self.signal_number = signal_number


def train(
    config: Config,
    pairs: PairSource,
    workdir: Path,
    *,
    held_out: PairSource | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> TrainState:
    """Runs Algorithm 1, from where the workdir's checkpoints left it.

    Writes config.json, scalars.jsonl, checkpoints/, pictures/ (one an epoch) and
    weights.safetensors (the three networks, at every save) into the workdir.

    Args:
      config: all settings.
      pairs: uint8 luminance, height x width, none smaller than the crop. The config's
        seed picks `holdout_pairs` of them for validation; with 0, validation and
        pictures show training pairs.
      workdir: created if missing.
      held_out: pairs for validation, instead of some of `pairs`.
      tensorboard: write TensorBoard events too.
      progress: show a progress bar.

    Returns:
      The final state, on the first device.

    Raises:
      ValueError: for settings that are not allowed, too few pairs, or a workdir that
        holds another run.
      NonFiniteError: when a scalar is not finite; the checkpoints stay as they were.
      Interrupted: after SIGTERM or Ctrl-C, once the run is saved.
    """
    config.validate()
    if held_out is None:
        training, held_out = split_pairs(config, pairs)
    else:
        training = pairs
    workdir.mkdir(parents=True, exist_ok=True)
    record = {"config": to_flat(config), "data": fingerprint(pairs)}
    _claim(workdir / "config.json", record)
    program = Program(config, training, held_out)
    state = program.init_state()
    steps_an_epoch = config.run.meta_steps + config.run.fusion_steps

    with (
        Checkpointer(workdir / "checkpoints", config.run.keep_checkpoints) as saver,
        _SignalWatch() as watch,
    ):
        if (restored := saver.restore_newest(state)) is not None:
            state = restored.state
            _LOG.info("Going on from step %d in %s.", int(state.step), workdir)
        first_step = saved_step = int(state.step)

        def save(step: int, validation: float | None) -> None:
            saver.save(state, record=record, validation=validation)
            save_weights(
                workdir / "weights.safetensors",
                state.params,
                {"step": str(step), "config": json.dumps(record["config"])},
            )

        with (
            ScalarLog(
                workdir / "scalars.jsonl",
                resume_step=first_step,
                tensorboard=tensorboard,
            ) as log,
            tqdm(
                total=config.run.epochs * steps_an_epoch,
                initial=first_step,
                unit="step",
                disable=not progress,
            ) as bar,
        ):
            if first_step == 0:
                log.write(0, "validation", program.validate(state.params))
                _draw_panel(state, held_out[0], workdir, "epoch_0000")
            for dispatch in schedule(config):
                if dispatch.end_step <= first_step:
                    continue
                step = dispatch.end_step
                started = time.perf_counter()
                state, scalars = program.run(state, dispatch)
                _require_finite(scalars, dispatch)
                means = {name: float(np.mean(x)) for name, x in scalars.items()}
                means["steps_per_second"] = dispatch.length / (
                    time.perf_counter() - started
                )
                log.write(step, dispatch.stage, means)
                bar.update(dispatch.length)
                bar.set_postfix_str(_summary(dispatch, means))
                if step % steps_an_epoch == 0:
                    validation = program.validate(state.params)
                    log.write(step, "validation", validation)
                    name = f"epoch_{dispatch.epoch + 1:04d}"
                    _draw_panel(state, held_out[0], workdir, name)
                    save(step, validation["reconstruction_loss"])
                    saved_step = step
                elif watch.received or step - saved_step >= config.run.save_every:
                    save(step, None)
                    saved_step = step
                if watch.received:
                    raise Interrupted(watch.received, step)
    return jax.device_put(state, jax.devices()[0])


def split_pairs(config: Config, pairs: PairSource) -> tuple[PairSource, PairSource]:
    """Training and held-out pairs, chosen by the config's seed.

    Args:
      config: `holdout_pairs`, `meta_steps` and `seed` are read.
      pairs: all of them.

    Returns:
      training, held out; the same pairs twice when none is to be held out.

    Raises:
      ValueError: if too few remain to train on.
    """
    held_out_count = config.data.holdout_pairs
    # Meta-train and meta-test batches come from disjoint pairs.
    needed = held_out_count + (2 if config.run.meta_steps else 1)
    if len(pairs) < needed:
        raise ValueError(
            f"Expected at least {needed} pairs ({held_out_count} of them held out for "
            f"validation), got {len(pairs)}; add pairs or lower holdout_pairs."
        )
    order = np.random.default_rng(config.run.seed).permutation(len(pairs))
    training = ChosenPairs(pairs, sorted(order[held_out_count:]))
    if not held_out_count:
        return training, training
    return training, ChosenPairs(pairs, sorted(order[:held_out_count]))


class _SignalWatch:
    """Remembers SIGTERM and SIGINT; a second one acts as it would without us."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        _LOG.info("Received %s: saving.", signal.Signals(number).name)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()


def _summary(dispatch: Dispatch, means: Mapping[str, float]) -> str:
    return (
        f"epoch {dispatch.epoch + 1} {dispatch.stage} "
        f"Lf {means['fusion_loss']:.4f} Lr {means['reconstruction_loss']:.4f}"
    )


def _require_finite(scalars: Mapping[str, np.ndarray], dispatch: Dispatch) -> None:
    first = dispatch.end_step - dispatch.length
    for i in range(dispatch.length):
        for name, values in scalars.items():
            if not np.isfinite(values[i]):
                raise NonFiniteError(
                    f"{name} is {values[i]} at step {first + i + 1} "
                    f"({dispatch.stage} step {dispatch.start + i + 1} of epoch "
                    f"{dispatch.epoch + 1}); the last checkpoint is intact: lower the "
                    "step sizes and use another workdir."
                )


def _claim(path: Path, record: dict[str, Any]) -> None:
    """Writes config.json, or checks that the run which is there is the same one."""
    if path.exists():
        before = json.loads(path.read_text())
        if before["data"] != record["data"]:
            raise ValueError(
                f"{path.parent} holds a run on other pairs; use another workdir."
            )
        for name, value in record["config"].items():
            old = before["config"].get(
                name, value
            )  # a newer setting: nothing to compare
            if old != value and name not in FREE_TO_CHANGE:
                raise ValueError(
                    f"{path.parent} holds a run with {name}={old}, got {value}; "
                    "use the same settings to go on, or another workdir."
                )
    replace_file(path, (json.dumps(record, indent=2) + "\n").encode())


def _draw_panel(
    state: TrainState,
    pair: tuple[np.ndarray, np.ndarray],
    workdir: Path,
    name: str,
) -> None:
    source_a, source_b = (_centre(picture) for picture in pair)
    # One device is enough; parameters that are on all of them would occupy all.
    made = look(jax.device_get(state.params), source_a, source_b)
    first_row = {"source a": source_a, "source b": source_b}
    first_row |= {k.replace("_", " "): made[k] for k in ("fused", "recon_a", "recon_b")}
    second_row = {k.replace("_", " "): made[k] for k in ("w_a", "w_b", "v_a", "v_b")}
    (workdir / "pictures").mkdir(exist_ok=True)
    write_picture(
        workdir / "pictures" / f"{name}.png", make_panel([first_row, second_row])
    )


def _centre(picture: np.ndarray) -> np.ndarray:
    top, left = (max(0, size - MAX_PANEL_SIDE) // 2 for size in picture.shape)
    return picture[top : top + MAX_PANEL_SIDE, left : left + MAX_PANEL_SIDE]
