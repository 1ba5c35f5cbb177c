"""A run's compiled programs: many steps in one dispatch, validation."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from refusion_jax.data.crops import EpochOrder, Stage, epoch_order
from refusion_jax.data.device_batches import (
    PairSet,
    as_batch,
    crops_in_batch,
    draw_batch,
    fits_on_device,
    pack,
)
from refusion_jax.data.sources import PairSource, in_order, sizes_of
from refusion_jax.devices.cores import largest_divisor, training_options
from refusion_jax.devices.data_parallel import batch_mesh, replicated
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.refusion.losses import equal_weights
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams, init_params
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.optimizers import make_optimizers, rates_at
from refusion_jax.methods.refusion.state import Batch, Rates, TrainState, init_state
from refusion_jax.methods.refusion.steps import (
    Scalars,
    binary_entropy,
    fusion_update,
    outer_update,
    scan_steps,
)
from refusion_jax.training.config import Config

VALIDATION_BATCHES = 4
# The crops of a dispatch's steps, as bytes: of a and of b, steps x crops x size x size.
Streamed = dict[Stage, tuple[Array | np.ndarray, Array | np.ndarray]]
_ORDERS = {
    "meta": {Stage.META_TRAIN: "meta_train", Stage.META_TEST: "meta_test"},
    "fusion": {Stage.FUSION: "fusion"},
}


class Dispatch(NamedTuple):
    """Steps that run on the device as one program.

    Attributes:
      epoch: from 0.
      stage: "meta" or "fusion".
      start: first step, within epoch and stage.
      length: number of steps.
      end_step: steps of the whole run after it.
    """

    epoch: int
    stage: str
    start: int
    length: int
    end_step: int


def schedule(config: Config) -> Iterator[Dispatch]:
    """Algorithm 1 cut into dispatches: a pure function of the config.

    Checkpoints lie between dispatches, so that a resumed run executes the very same
    programs. Each stage is cut into equal parts of at most `steps_per_dispatch` steps,
    since each length is a program to compile.

    Args:
      config: all settings.

    Yields:
      Dispatches in order.
    """
    end_step = 0
    for epoch in range(config.run.epochs):
        for stage, length in (
            ("meta", config.run.meta_steps),
            ("fusion", config.run.fusion_steps),
        ):
            limit = min(config.run.steps_per_dispatch, length)
            count = next((n for n in range(limit, 0, -1) if length % n == 0), 1)
            for start in range(0, length, count):
                end_step += count
                yield Dispatch(epoch, stage, start, count, end_step)


class Program:
    """The steps of Algorithm 1, compiled for one config and set of pairs."""

    def __init__(
        self, config: Config, training: PairSource, held_out: PairSource
    ) -> None:
        """Puts the pairs on the devices, or opens them if above the memory_budget.

        As many devices share each batch as divide it.

        Args:
          config: all settings.
          training: uint8 luminance pairs, none smaller than the crop; at least two if
            there are meta steps.
          held_out: pairs for validation, at least one; they go on the device anyway.

        Raises:
          ImportError: if the pairs are to be streamed and Grain is not installed.
        """
        self._config = config
        device_count = largest_divisor(config.data.batch_size, jax.device_count())
        mesh = batch_mesh(device_count)
        self._everywhere = replicated(mesh)
        self._training_count = len(training)
        self._training_set: PairSet | None = None
        if fits_on_device(sizes_of(training), config.data.memory_budget):
            self._training_set = self._put(pack([*in_order(training)]))
        else:
            from refusion_jax.data.streamed_batches import StageReader

            self._reader = StageReader(
                training,
                crops_in_step=crops_in_batch(config.data.batch_size, config.data.swap),
                crop_size=config.data.crop_size,
                augment=config.data.augment,
                worker_count=config.data.reader_count,
            )
        self._held_out_set = self._put(pack([*in_order(held_out)]))
        self._held_out_count = len(held_out)
        self._optimizers = make_optimizers(
            proposal_optimizer=config.optim.proposal_optimizer,
            accumulate=config.meta.accumulate,
        )
        nets = Nets()
        if config.loss.fixed_weights:
            nets = nets._replace(propose=lambda params, a, b: equal_weights(a))

        def objectives(precision: str) -> Objectives:
            rounded = nets._replace(
                fuse=in_precision(nets.fuse, precision),
                reconstruct=in_precision(nets.reconstruct, precision),
                propose=in_precision(nets.propose, precision),
            )
            return Objectives(
                nets=rounded.divided(mesh) if device_count > 1 else rounded,
                alpha_fusion=config.loss.alpha_fusion,
                alpha_reconstruction=config.loss.alpha_reconstruction,
                weight_power=config.loss.weight_power,
                reduction=config.loss.reduction,
            )

        # Meta-gradients are too small for anything else; see nets.precision.
        self._objectives = objectives("float32")
        self._fusion_objectives = objectives(config.run.fusion_precision)
        # The state is donated: a step's result takes the place of its argument.
        self._stages = {
            name: jax.jit(
                steps,
                donate_argnums=0,
                out_shardings=self._everywhere,
                compiler_options=training_options(),
            )
            for name, steps in (
                ("meta", self._meta_steps),
                ("fusion", self._fusion_steps),
            )
        }
        self._validation = jax.jit(self._validate)

    def _put(self, tree: Any) -> Any:
        return jax.device_put(tree, self._everywhere)

    def init_state(self) -> TrainState:
        """The state before the first step, from the config's seed."""
        config = self._config
        key = jax.random.key(config.run.seed)
        params = init_params(
            jax.random.fold_in(key, 0),
            interaction=config.nets.interaction,
            gating=config.nets.gating,
            reconstruction_width=config.nets.reconstruction_width,
            reconstruction_blocks=config.nets.reconstruction_blocks,
        )
        state = init_state(params, self._optimizers, jax.random.fold_in(key, 1))
        return self._put(state)

    def run(
        self, state: TrainState, dispatch: Dispatch
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """Runs one dispatch; the state is donated.

        Args:
          state: as the dispatch before left it.
          dispatch: of `schedule`.

        Returns:
          The new state and each scalar's value at every step, on the host.
        """
        indices = dispatch.start + jnp.arange(dispatch.length)
        epoch = jnp.asarray(dispatch.epoch, jnp.int32)
        rates = self._rates(dispatch.epoch)
        state, scalars = self._stages[dispatch.stage](
            state, self._pixels(state.key, dispatch), indices, epoch, rates
        )
        return state, jax.device_get(scalars)

    def _pixels(self, key: Array, dispatch: Dispatch) -> PairSet | Streamed:
        """The whole set, or what a dispatch needs of it."""
        if self._training_set is not None:
            return self._training_set
        order = self._order(key, jnp.asarray(dispatch.epoch, jnp.int32))
        steps = {
            "meta": self._config.run.meta_steps,
            "fusion": self._config.run.fusion_steps,
        }
        return {
            stage: self._reader.read(
                key,
                stage=stage,
                epoch=dispatch.epoch,
                order=getattr(order, name),
                steps=steps[dispatch.stage],
                start=dispatch.start,
                length=dispatch.length,
            )
            for stage, name in _ORDERS[dispatch.stage].items()
        }

    def _order(self, key: Array, epoch: Array) -> EpochOrder:
        return epoch_order(key, epoch, self._training_count)

    def validate(self, params: NetsParams) -> dict[str, float]:
        """Losses on crops of held-out pairs, the same crops at every call.

        Args:
          params: the three networks.

        Returns:
          L_f and L_r (alpha_1 at its final value), entropies of w and v in bits.
        """
        key = jax.random.key(self._config.run.seed)
        scalars = self._validation(params, self._held_out_set, key)
        return {name: float(value) for name, value in scalars.items()}

    def _rates(self, epoch: int) -> Rates:
        config = self._config
        rates = rates_at(
            epoch,
            epochs=config.run.epochs,
            learning_rate=config.optim.learning_rate,
            inner_learning_rate=config.meta.inner_learning_rate,
            proposal_learning_rate=config.optim.proposal_learning_rate,
            decay_every=config.optim.decay_every,
            decay_factor=config.optim.decay_factor,
            alpha_fusion=config.loss.alpha_fusion,
            alpha_ramp=config.loss.alpha_ramp,
        )
        return Rates(*(jnp.asarray(rate, jnp.float32) for rate in rates))

    def _draw(
        self, pair_set: PairSet | Streamed, key: Array, first: int | Array = 0
    ) -> Callable[..., Batch]:
        data = self._config.data
        if not isinstance(pair_set, PairSet):
            return partial(_take, pair_set, first)
        return partial(
            draw_batch,
            pair_set,
            key,
            batch_size=data.batch_size,
            crop_size=data.crop_size,
        )

    def _meta_steps(
        self,
        state: TrainState,
        pair_set: PairSet | Streamed,
        indices: Array,
        epoch: Array,
        rates: Rates,
    ) -> tuple[TrainState, Scalars]:
        data, meta = self._config.data, self._config.meta
        order = self._order(state.key, epoch)
        draw = partial(
            self._draw(pair_set, state.key, indices[0]),
            epoch=epoch,
            augment=data.augment,
            swap=data.swap,
        )

        def step(state: TrainState, index: Array) -> tuple[TrainState, Scalars]:
            return outer_update(
                state,
                draw(stage=Stage.META_TRAIN, step=index, order=order.meta_train),
                draw(stage=Stage.META_TEST, step=index, order=order.meta_test),
                objectives=self._objectives,
                optimizers=self._optimizers,
                rates=rates,
                mode=meta.meta_gradient,
                inner_steps=meta.inner_steps,
            )

        return scan_steps(step, state, indices)

    def _fusion_steps(
        self,
        state: TrainState,
        pair_set: PairSet | Streamed,
        indices: Array,
        epoch: Array,
        rates: Rates,
    ) -> tuple[TrainState, Scalars]:
        data = self._config.data
        order = self._order(state.key, epoch)
        draw = partial(
            self._draw(pair_set, state.key, indices[0]),
            stage=Stage.FUSION,
            epoch=epoch,
            order=order.fusion,
            augment=data.augment,
            swap=data.swap,
        )

        def step(state: TrainState, index: Array) -> tuple[TrainState, Scalars]:
            return fusion_update(
                state,
                draw(step=index),
                objectives=self._fusion_objectives,
                optimizers=self._optimizers,
                rates=rates,
            )

        return scan_steps(step, state, indices)

    def _validate(self, params: NetsParams, pair_set: PairSet, key: Array) -> Scalars:
        draw = partial(
            self._draw(pair_set, key),
            stage=Stage.VALIDATION,
            epoch=0,
            order=jnp.arange(self._held_out_count),
            augment=False,
        )

        def losses(index: Array) -> Scalars:
            batch = draw(step=index)
            weights = self._objectives.propose(params.proposal, batch)
            fused = self._objectives.fuse(params.fusion, batch)
            fusion = self._objectives.fusion_loss(fused, weights, batch)
            reconstruction = self._objectives.reconstruction(
                params.reconstruction, fused, batch
            )
            return {
                "fusion_loss": fusion.total,
                "reconstruction_loss": reconstruction.total,
                "intensity_weights_entropy": binary_entropy(weights.intensity),
                "gradient_weights_entropy": binary_entropy(weights.gradient),
            }

        per_batch = jax.lax.map(losses, jnp.arange(VALIDATION_BATCHES))
        return {name: values.mean() for name, values in per_batch.items()}


def _take(
    streamed: Streamed,
    first: int | Array,
    *,
    stage: Stage,
    step: Array,
    swap: bool = False,
    **drawn: Any,
) -> Batch:
    """What `draw_batch` would draw: it has been drawn, for steps from the first on."""
    pixels_a, pixels_b = streamed[stage]
    return as_batch(pixels_a[step - first], pixels_b[step - first], swap=swap)
