"""A run's compiled programs: many steps in one dispatch, validation, the panel."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from refusion_jax.array_types import Image
from refusion_jax.config import Config
from refusion_jax.data.sampler import PairSet, Stage, draw_batch, epoch_order, pack
from refusion_jax.losses import equal_weights
from refusion_jax.meta.objectives import Objectives
from refusion_jax.meta.state import Batch, Rates, TrainState, init_state
from refusion_jax.meta.steps import (
    Scalars,
    binary_entropy,
    fusion_update,
    outer_update,
    scan_steps,
)
from refusion_jax.nets import (
    Nets,
    NetsParams,
    fuse,
    init_params,
    propose,
    reconstruct,
)
from refusion_jax.optim import make_optimizers, rates_at

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]
VALIDATION_BATCHES = 4


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

    def __init__(self, config: Config, training: Pairs, held_out: Pairs) -> None:
        """Puts the pairs on the device.

        Args:
          config: all settings.
          training: uint8 luminance pairs, none smaller than the crop; at least two if
            there are meta steps.
          held_out: pairs for validation, at least one.
        """
        self._config = config
        self._training_set = pack(training)
        self._training_count = len(training)
        self._held_out_set = pack(held_out)
        self._held_out_count = len(held_out)
        self._optimizers = make_optimizers(
            proposal_optimizer=config.optim.proposal_optimizer,
            accumulate=config.meta.accumulate,
        )
        nets = Nets()
        if config.loss.fixed_weights:
            nets = nets._replace(propose=lambda params, a, b: equal_weights(a))
        self._objectives = Objectives(
            nets=nets,
            alpha_fusion=config.loss.alpha_fusion,
            alpha_reconstruction=config.loss.alpha_reconstruction,
            weight_power=config.loss.weight_power,
            reduction=config.loss.reduction,
        )
        # The state is donated: a step's result takes the place of its argument.
        self._stages = {
            "meta": jax.jit(self._meta_steps, donate_argnums=0),
            "fusion": jax.jit(self._fusion_steps, donate_argnums=0),
        }
        self._validation = jax.jit(self._validate)

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
        return init_state(params, self._optimizers, jax.random.fold_in(key, 1))

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
        # Meta-gradients are too small for TF32, which GPUs would use by default.
        with jax.default_matmul_precision("highest"):
            state, scalars = self._stages[dispatch.stage](
                state, self._training_set, indices, epoch, rates
            )
        return state, jax.device_get(scalars)

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

    def _draw(self, pair_set: PairSet, key: Array) -> Callable[..., Batch]:
        data = self._config.data
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
        pair_set: PairSet,
        indices: Array,
        epoch: Array,
        rates: Rates,
    ) -> tuple[TrainState, Scalars]:
        data, meta = self._config.data, self._config.meta
        order = epoch_order(state.key, epoch, self._training_count)
        draw = partial(
            self._draw(pair_set, state.key),
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
        pair_set: PairSet,
        indices: Array,
        epoch: Array,
        rates: Rates,
    ) -> tuple[TrainState, Scalars]:
        data = self._config.data
        order = epoch_order(state.key, epoch, self._training_count)
        draw = partial(
            self._draw(pair_set, state.key),
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
                objectives=self._objectives,
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


def look(
    params: NetsParams, source_a: np.ndarray, source_b: np.ndarray
) -> dict[str, np.ndarray]:
    """Everything the networks make of one pair.

    Args:
      params: the three networks.
      source_a, source_b: uint8 luminance, height x width.

    Returns:
      Pictures in [0, 1] by name: fused, recon_a, recon_b, w_a, w_b, v_a, v_b.
    """
    images = (x[None, ..., None].astype(np.float32) / 255 for x in (source_a, source_b))
    return {name: x[0] for name, x in jax.device_get(_look(params, *images)).items()}


@jax.jit
def _look(params: NetsParams, source_a: Image, source_b: Image) -> dict[str, Array]:
    fused = fuse(params.fusion, source_a, source_b)
    recon_a, recon_b = reconstruct(params.reconstruction, fused)
    weights = propose(params.proposal, source_a, source_b)
    return {
        "fused": fused[..., 0],
        "recon_a": recon_a[..., 0],
        "recon_b": recon_b[..., 0],
        "w_a": weights.intensity[..., 0],
        "w_b": weights.intensity[..., 1],
        "v_a": weights.gradient[..., 0],
        "v_b": weights.gradient[..., 1],
    }
