"""The training loop: dispatch, log, save, resume. No mathematics, no networks."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from refusion_jax.array_types import Batch, Params
from refusion_jax.data.device_batches import as_batch
from refusion_jax.data.sources import ChosenPairs, Luminances, PairSource, origins_of
from refusion_jax.devices.compiling import long_compilations
from refusion_jax.devices.hosts import (
    highest,
    is_first,
    on_this_host,
    together,
)
from refusion_jax.methods.protocol import Learner, Stage, TrainState
from refusion_jax.training.checkpoint import Checkpointer
from refusion_jax.training.config import Config
from refusion_jax.training.environment import hosts_before, record_environment
from refusion_jax.training.forecast import Forecast, in_words
from refusion_jax.training.initial import initial_trees, with_trees
from refusion_jax.training.loggers.choice import Loggers, checked
from refusion_jax.training.loggers.protocol import Logger
from refusion_jax.training.program import Program, make_learner
from refusion_jax.training.quality import Judge
from refusion_jax.training.scalars import ScalarLog
from refusion_jax.training.schedule import Dispatch, schedule, step_count
from refusion_jax.training.signals import Interrupted, SignalWatch
from refusion_jax.training.workdir import Workdir, has_checkpoints

_LOG = logging.getLogger(__name__)
RANK = "fused_rank"  # marks the best checkpoint where pictures are judged
MAX_PANEL_SIDE = 512  # pixels; larger pictures show their centre only


class NonFiniteError(ArithmeticError):
    """Raised when a scalar is not finite; the message names scalar and step."""


def train(
    config: Config,
    pairs: PairSource,
    workdir: Path,
    *,
    held_out: PairSource | None = None,
    loggers: Sequence[str | Logger] = (),
    progress: bool = True,
) -> TrainState:
    """Trains a method, resuming from the workdir's checkpoints if there are any.

    Several hosts, see `devices.hosts`, call this together with the same arguments and
    a workdir that all of them see; the first one writes everything but checkpoints.

    Writes config.json, environment.json (a record per start), scalars.jsonl,
    checkpoints/, pictures/ (one per epoch) and weights.safetensors (all parameter
    trees, at every save) into the workdir.

    Args:
      config: all settings.
      pairs: uint8 luminance, height x width, none smaller than the crop. The config's
        seed selects `holdout_pairs` of them for validation; with 0, validation and
        pictures use training pairs.
      workdir: the run's folder; created if it is missing.
      held_out: pairs for validation; None takes them from `pairs`.
      loggers: what receives scalars, pictures and settings too: names of
        `loggers.choice.LOGGERS`, or objects of `loggers.protocol.Logger`.
      progress: whether to show a progress bar.

    Returns:
      The final state, on the first device.

    Raises:
      FileNotFoundError: if the weights to start from are missing.
      ImportError: if a logger's package is not installed.
      ValueError: for an unknown logger, weights to start from that are of other
        networks, too few pairs, pairs without labels if the method needs them, or a
        workdir that holds another run.
      NonFiniteError: if a scalar is not finite; existing checkpoints stay intact.
      Interrupted: after SIGTERM or Ctrl-C on any host, once the run is saved.
      HostLostError: if another host has ended; existing checkpoints stay intact.
    """
    if config.method.needs_labels and len(pairs[0]) < 3:
        raise ValueError(
            f"expected labels with every pair for {config.method.title}, got none; "
            "name their folder with --labels=FOLDER."
        )
    loggers = checked(loggers)
    learner, mesh = make_learner(config)
    apart = held_out
    training, held_out = split_pairs(config, learner.stages, pairs, held_out)
    initial: Mapping[str, Params] = {}
    # Before the folder is claimed, and no longer once there is something to resume.
    if config.run.init and not has_checkpoints(workdir):
        initial = initial_trees(learner, config.method, config.run.init)
    place = Workdir(workdir, config, pairs, validation=apart)
    program = Program(learner, config, mesh, training, held_out)
    keep = config.run.keep_checkpoints
    with (
        together(Interrupted, NonFiniteError),
        Checkpointer(place.checkpoints, keep) as saver,
        SignalWatch() as watch,
    ):
        with _telling_once("Compiling the start of the networks."):
            state = with_trees(program.init_state(), initial)
        if (restored := saver.restore_newest(state)) is not None:
            state = restored.state
            _LOG.info("Resuming from step %d in %s.", int(state.step), workdir)
            _tell_other_count(hosts_before(workdir))
        step = int(state.step)
        with Loggers(loggers if is_first() else (), workdir, resume_step=step) as log:
            if is_first():
                record_environment(workdir, step=step)
                # Last, because it drops lines: not before the others are known to work.
                log.add(ScalarLog(place.scalars, resume_step=step))
            log.config(place.record["config"])
            judge = Judge(held_out, config.data.judged_pairs)
            run = _Run(config, learner, program, judge, place, saver, log, held_out[0])
            state = run.complete(state, watch, progress=progress and is_first())
    return jax.device_put(on_this_host(state), jax.local_devices()[0])


def _tell_other_count(before: int) -> None:
    """Says if a run resumes on another number of hosts."""
    if before != jax.process_count():
        _LOG.warning(
            "The run was on %d hosts and is on %d now: sums are in another order, so "
            "the last digits may differ from those of an uninterrupted run.",
            before,
            jax.process_count(),
        )


@contextmanager
def _telling_once(text: str) -> Iterator[None]:
    """Logs a sentence if a compilation takes long while the context lasts."""
    with long_compilations(cache(partial(_LOG.info, text))):
        yield


class _Run:
    """The training loop and the objects that it writes with."""

    def __init__(
        self,
        config: Config,
        learner: Learner,
        program: Program,
        judge: Judge,
        workdir: Workdir,
        saver: Checkpointer,
        log: Loggers,
        shown: Luminances,
    ) -> None:
        self._config, self._learner, self._program = config, learner, program
        self._judge = judge
        self._workdir, self._saver, self._log = workdir, saver, log
        self._shown = _batch_of_one(shown)
        self._forecast, self._is_forecast = Forecast(), False

    def complete(
        self, state: TrainState, watch: SignalWatch, *, progress: bool
    ) -> TrainState:
        """Runs and saves the remaining dispatches."""
        run = self._config.run
        first_step = saved_step = int(state.step)
        if first_step == 0:
            with _telling_once("Compiling the validation, once."):
                self._validate(state, 0)
                self._draw_panel(state, 0, epoch=0)
        received = highest(watch.received)  # while the start was compiled
        with tqdm(
            total=step_count(self._learner.stages, run.epochs),
            initial=first_step,
            unit="step",
            disable=not progress,
        ) as bar:
            for dispatch in self._dispatches():
                step = dispatch.end_step
                if step <= first_step:
                    continue
                if received:
                    raise Interrupted(received, int(state.step))
                if self._forecast.is_first(dispatch):
                    _LOG.info("Compiling the %s steps, once.", dispatch.stage.name)
                state, means = self._dispatch(state, dispatch)
                bar.update(dispatch.length)
                bar.set_postfix_str(self._summary(dispatch, means))
                self._tell_rest(dispatch)
                received = highest(watch.received)
                if dispatch.ends_epoch:
                    self._end_epoch(state, dispatch)
                    saved_step = step
                elif received or step - saved_step >= run.save_every:
                    self._save(state, step, None)
                    saved_step = step
                if received:
                    raise Interrupted(received, step)
        # It may have ended between its last checkpoint and the weights.
        is_complete = saved_step == first_step > 0
        if is_complete and not self._workdir.has_weights(first_step, self._notes):
            self._save_weights(state, first_step)
        return state

    def _dispatches(self) -> Iterator[Dispatch]:
        run = self._config.run
        return schedule(
            self._learner.stages,
            epochs=run.epochs,
            steps_per_dispatch=run.steps_per_dispatch,
        )

    def _dispatch(
        self, state: TrainState, dispatch: Dispatch
    ) -> tuple[TrainState, dict[str, float]]:
        started = time.perf_counter()
        state, scalars = self._program.run(state, dispatch)
        _require_finite(scalars, dispatch)
        means = {name: float(np.mean(x)) for name, x in scalars.items()}
        seconds = time.perf_counter() - started
        self._forecast.add(dispatch, seconds)
        means["steps_per_second"] = dispatch.length / seconds
        self._log.scalars(dispatch.end_step, dispatch.stage.name, means)
        return state, means

    def _tell_rest(self, done: Dispatch) -> None:
        """Says how long the rest will take: when all speeds are known, and before."""
        if self._is_forecast:
            return
        rest = [x for x in self._dispatches() if x.end_step > done.end_step]
        seconds, self._is_forecast = self._forecast.remaining(rest)
        if rest and (self._is_forecast or done.ends_epoch):
            more = (
                "" if self._is_forecast else ", or more: some stages are not timed yet"
            )
            _LOG.info("Step %d: %s to go%s.", done.end_step, in_words(seconds), more)

    def _end_epoch(self, state: TrainState, dispatch: Dispatch) -> None:
        validation = self._validate(state, dispatch.end_step)
        is_judged = dispatch.epoch >= self._learner.warm_up_epochs
        if is_judged and (sentence := self._config.method.verdict(validation)):
            _LOG.warning("After epoch %d: %s", dispatch.epoch + 1, sentence)
        self._draw_panel(state, dispatch.end_step, epoch=dispatch.epoch + 1)
        best = RANK if RANK in validation else self._learner.best
        self._save(state, dispatch.end_step, validation[best])

    def _validate(self, state: TrainState, step: int) -> dict[str, float]:
        """Measures what has been learned on held-out pairs, and logs it."""
        trees = jax.device_get(state.params)._asdict()
        model = self._config.method.model(trees, str(self._workdir.folder), self._notes)
        scalars = self._program.validate(state.params) | self._judge.score(model)
        self._log.scalars(step, "validation", scalars)
        return scalars

    def _save(self, state: TrainState, step: int, validation: float | None) -> None:
        self._saver.save(state, record=self._workdir.record, validation=validation)
        self._save_weights(state, step)

    def _save_weights(self, state: TrainState, step: int) -> None:
        if is_first():
            self._workdir.save_weights(
                self._config.method, state.params, step, self._notes
            )

    @property
    def _notes(self) -> Mapping[str, str]:
        return self._config.method.notes(self._config.settings)

    def _draw_panel(self, state: TrainState, step: int, *, epoch: int) -> None:
        if not is_first():
            return
        # From the host, because parameters on all devices would occupy all of them.
        first, *rest = self._learner.look(jax.device_get(state.params), self._shown)
        sources = {
            "source a": np.asarray(self._shown.source_a)[0, ..., 0],
            "source b": np.asarray(self._shown.source_b)[0, ..., 0],
        }
        rows = [{**sources, **first}, *rest]
        panel = self._workdir.draw_panel(f"epoch_{epoch:04d}", rows)
        self._log.image(step, "panel", panel)

    def _summary(self, dispatch: Dispatch, means: Mapping[str, float]) -> str:
        shown = (
            f"{label} {means[name]:.4f}"
            for label, name in self._learner.headline.items()
            if name in means
        )
        return f"epoch {dispatch.epoch + 1} {dispatch.stage.name} {' '.join(shown)}"


def split_pairs(
    config: Config,
    stages: Sequence[Stage],
    pairs: PairSource,
    held_out: PairSource | None = None,
) -> tuple[PairSource, PairSource]:
    """Splits pairs into training and held-out ones by the config's seed.

    Args:
      config: `holdout_pairs` and `seed` are read.
      stages: the learner's stages.
      pairs: all pairs.
      held_out: pairs for validation that are not among them: nothing is split.

    Returns:
      Training pairs and held-out pairs; the same pairs twice if `holdout_pairs` is 0.

    Raises:
      ValueError: if too few pairs remain for training.
    """
    count = config.data.holdout_pairs if held_out is None else 0
    origins = np.asarray(origins_of(pairs))
    wholes = np.unique(origins)
    order = np.random.default_rng(config.run.seed).permutation(len(wholes))
    is_apart = np.isin(origins, wholes[order[:count]])
    parts = {draw.part for stage in stages if stage.steps for draw in stage.draws}
    # Two, because halves are disjoint and each needs a pair.
    least = 2 if parts - {"all"} else 1
    if (~is_apart).sum() < least:
        apart = f" ({count} of them held out for validation)" if count else ""
        cure = "add pairs or lower holdout_pairs" if count else "add pairs"
        raise ValueError(
            f"expected at least {count + least} pairs{apart}, got {len(wholes)}; "
            f"{cure}."
        )
    training = ChosenPairs(pairs, np.flatnonzero(~is_apart).tolist())
    if held_out is not None:
        return training, held_out
    if not count:
        return training, training
    return training, ChosenPairs(pairs, np.flatnonzero(is_apart).tolist())


def _require_finite(scalars: Mapping[str, np.ndarray], dispatch: Dispatch) -> None:
    first = dispatch.end_step - dispatch.length
    for i in range(dispatch.length):
        for name, values in scalars.items():
            if not np.isfinite(values[i]):
                raise NonFiniteError(
                    f"expected a finite {name}, got {values[i]} at step "
                    f"{first + i + 1} ({dispatch.stage.name} step "
                    f"{dispatch.start + i + 1} of epoch {dispatch.epoch + 1}); lower "
                    "the step sizes and use another workdir. The last checkpoint is "
                    "intact."
                )


def _batch_of_one(pair: Luminances) -> Batch:
    return as_batch(*(jnp.asarray(_centre(x)[None]) for x in pair))


def _centre(picture: np.ndarray) -> np.ndarray:
    top, left = (max(0, size - MAX_PANEL_SIDE) // 2 for size in picture.shape)
    return picture[top : top + MAX_PANEL_SIDE, left : left + MAX_PANEL_SIDE]
