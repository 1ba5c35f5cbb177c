"""The compiled programs of a run: many steps per dispatch, and validation."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from refusion_jax.data.batches import open_batches
from refusion_jax.data.crops import VALIDATION, Cutting, epoch_order
from refusion_jax.data.device_batches import PairSet, draw_batch, pack
from refusion_jax.data.sources import PairSource, in_order, repeats_of
from refusion_jax.devices.cores import training_options
from refusion_jax.devices.data_parallel import (
    put_everywhere,
    replicated,
    shared_mesh,
)
from refusion_jax.methods.protocol import Learner, Scalars, Stage, TrainState
from refusion_jax.training.config import Config
from refusion_jax.training.schedule import Dispatch

VALIDATION_BATCHES = 4


def make_learner(config: Config) -> tuple[Learner, Mesh]:
    """Returns the method's learner and the devices that share each batch.

    Args:
      config: all settings.

    Returns:
      The learner, and a mesh of the most devices that divide the batch, as many of
      each host.

    Raises:
      ValueError: if the hosts cannot share the batch equally.
    """
    mesh = shared_mesh(config.data.batch_size)
    return config.method.learner(config.settings, config.run.epochs, mesh), mesh


def is_prolonged(config: Config, epochs: int) -> bool:
    """Returns whether a run is a shorter one that goes on.

    Args:
      config: all settings of the run.
      epochs: length of a run with the same settings otherwise.

    Returns:
      Whether this run is longer, and has the same stages and step sizes in all epochs
      of the shorter one. It has not if its schedule depends on the length.
    """
    shorter = dataclasses.replace(
        config, run=dataclasses.replace(config.run, epochs=epochs)
    )
    learner, before = (make_learner(x)[0] for x in (config, shorter))

    def is_same(epoch: int) -> bool:
        stages, old = (
            [(x.name, x.steps) for x in y.stages if x.is_in(epoch)]
            for y in (learner, before)
        )
        rates, old_rates = (
            [float(x) for x in jax.tree.leaves(y.rates(epoch))]
            for y in (learner, before)
        )
        return stages == old and rates == old_rates

    return config.run.epochs > epochs and all(map(is_same, range(epochs)))


class Program:
    """The steps of a learner, compiled for one config and set of pairs."""

    def __init__(
        self,
        learner: Learner,
        config: Config,
        mesh: Mesh,
        training: PairSource,
        held_out: PairSource,
    ) -> None:
        """Puts the pairs on the devices, or opens a stream if they exceed the budget.

        Args:
          learner: the learner to run.
          config: all settings; `memory_budget` decides whether to stream.
          mesh: the devices that share each batch.
          training: uint8 luminance pairs, none smaller than the crop; at least two if
            the learner draws from halves.
          held_out: pairs for validation, at least one; always kept on the device.

        Raises:
          ImportError: if the pairs must be streamed and Grain is not installed.
        """
        self._learner, self._config = learner, config
        self._mesh = mesh
        self._repeats = repeats_of(training)
        data = config.data
        count = config.method.pairs_in_batch(config.settings, data.batch_size)
        self._batches = open_batches(
            training,
            Cutting(count, data.crop_size, data.augment, data.object_share),
            memory_budget=data.memory_budget,
            reader_count=data.reader_count,
            put=self._put,
            mesh=mesh,
        )
        self._held_out_set: PairSet = self._put(pack([*in_order(held_out)]))
        self._held_out_count = len(held_out)
        # The state is donated, so that a step's result reuses its argument's memory.
        self._stages = {
            stage.name: jax.jit(
                partial(self._steps, stage),
                donate_argnums=0,
                out_shardings=replicated(mesh),
                compiler_options=training_options(),
            )
            for stage in learner.stages
        }
        self._validation = jax.jit(self._validate, out_shardings=replicated(mesh))

    def _put(self, tree: Any) -> Any:
        return put_everywhere(tree, self._mesh)

    def init_state(self) -> TrainState:
        """Returns the state before the first step, from the config's seed."""
        state: TrainState = self._put(
            self._learner.init(jax.random.key(self._config.run.seed))
        )
        return state

    def run(
        self, state: TrainState, dispatch: Dispatch
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """Runs one dispatch; the state is donated.

        Args:
          state: the state that the previous dispatch returned.
          dispatch: one of `schedule`'s dispatches.

        Returns:
          The new state, and on the host each scalar's values at every step.
        """
        stage = self._stages[dispatch.stage.name]
        state, scalars = stage(state, *self._arguments(state, dispatch))
        return state, jax.device_get(scalars)

    def lower(self, state: TrainState, dispatch: Dispatch) -> jax.stages.Lowered:
        """Returns the program of a dispatch before it is compiled, to be looked at.

        Args:
          state, dispatch: as for `run`; the state stays.
        """
        stage = self._stages[dispatch.stage.name]
        return stage.lower(state, *self._arguments(state, dispatch))

    def _arguments(self, state: TrainState, dispatch: Dispatch) -> tuple[Any, ...]:
        """Returns all arguments of a dispatch's program but the state."""
        pixels = self._batches.pixels(
            state.key,
            dispatch.stage,
            epoch=dispatch.epoch,
            start=dispatch.start,
            length=dispatch.length,
        )
        return (
            pixels,
            # Of NumPy, because arrays of one device are not on the other hosts.
            dispatch.start + np.arange(dispatch.length, dtype=np.int32),
            np.int32(dispatch.epoch),
            jax.device_get(self._learner.rates(dispatch.epoch)),
        )

    def _steps(
        self,
        stage: Stage,
        state: TrainState,
        pixels: Any,
        indices: Array,
        epoch: Array,
        rates: Any,
    ) -> tuple[TrainState, Scalars]:
        key = state.key
        order = epoch_order(key, epoch, self._repeats)

        def step(state: TrainState, index: Array) -> tuple[TrainState, Scalars]:
            batches = {
                draw.name: self._batches.draw(
                    pixels,
                    key,
                    draw,
                    order=order,
                    epoch=epoch,
                    step=index,
                    first=indices[0],
                )
                for draw in stage.draws
            }
            return self._learner.step(stage.name, state, batches, rates)

        return jax.lax.scan(step, state, indices)

    def validate(self, params: Any) -> dict[str, float]:
        """Returns the learner's scalars on a fixed set of crops of held-out pairs.

        Args:
          params: the parameters of a state.

        Returns:
          Means over the crops, by name.
        """
        key = self._put(jax.random.key(self._config.run.seed))
        scalars = self._validation(params, self._held_out_set, key)
        return {name: float(x) for name, x in jax.device_get(scalars).items()}

    def _validate(self, params: Any, pair_set: PairSet, key: Array) -> Scalars:
        data = self._config.data

        def scalars(index: Array) -> Scalars:
            batch = draw_batch(
                pair_set,
                key,
                stream=VALIDATION,
                epoch=0,
                step=index,
                order=jnp.arange(self._held_out_count),
                count=data.batch_size,
                crop_size=data.crop_size,
                augment=False,
            )
            return self._learner.validate(params, batch)

        per_batch = jax.lax.map(scalars, jnp.arange(VALIDATION_BATCHES))
        return {name: values.mean() for name, values in per_batch.items()}
