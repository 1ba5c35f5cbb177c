"""ReFusion as the trainer sees it: the two stages of Algorithm 1."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from refusion_jax.array_types import Batch, Image, Params
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Draw, Scalars, Stage, TrainState
from refusion_jax.methods.refusion.diagnosis import observe_fused, observe_weights
from refusion_jax.methods.refusion.hand_made import RULES, weigh
from refusion_jax.methods.refusion.losses import WeightMaps, equal_weights
from refusion_jax.methods.refusion.maps import look
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams, init_params
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.optimizers import make_optimizers
from refusion_jax.methods.refusion.settings import Settings
from refusion_jax.methods.refusion.state import (
    Rates,
    init_state,
    pairs_of,
    with_identical,
)
from refusion_jax.methods.refusion.steps import (
    binary_entropy,
    fusion_update,
    imitation_update,
    outer_update,
)
from refusion_jax.methods.step_sizes import half_cosine

META, IMITATION, FUSION = "meta", "imitation", "fusion"
# Meta-train and meta-test batches come from disjoint pairs.
INNER = Draw("inner", stream=1, part="first_half")
OUTER = Draw("outer", stream=2, part="second_half")
ALL = Draw("batch", stream=3, part="all")
IMITATED = Draw("batch", stream=1, part="all")
# Random streams; see `methods.protocol.Draw`.
NOISE = 5  # of what disturbs R's view
IDENTICAL = 6  # of the pairs that become one picture; a branch of the stream above


REAL = Nets()


class ReFusionLearner:
    """A `Learner` (see `methods.protocol`)."""

    best = "reconstruction_loss"
    headline = {"Lf": "fusion_loss", "Lr": "reconstruction_loss"}  # noqa: RUF012

    def __init__(
        self, settings: Settings, epochs: int, mesh: Mesh, nets: Nets = REAL
    ) -> None:
        """Builds the objectives without computing anything.

        Args:
          settings: the method's settings.
          epochs: length of the run; ramps need it.
          mesh: the devices that share each batch.
          nets: F, R and P; tests replace them.
        """
        self._settings, self._epochs, self._mesh = settings, epochs, mesh
        # A third of nine epochs is three, however a third is rounded.
        self.warm_up_epochs = math.floor(settings.warm_up_share * epochs + 1e-6)
        self._optimizers = make_optimizers(
            proposal_optimizer=settings.proposal_optimizer,
            accumulate=settings.accumulate,
        )
        # P imitates a rule: before it learns, or while the rule takes its place.
        by_rule = nets._replace(propose=partial(weigh, rule=RULES[settings.rule]))
        self._imitator = self._objectives_in("float32", nets)
        self._rule = self._objectives_in("float32", by_rule)
        if settings.loss_weights == "equal":
            nets = nets._replace(propose=_propose_equal)
        elif settings.loss_weights == "rule":
            nets = by_rule
        # Meta-gradients are too small for anything but float32; see methods.precision.
        self._objectives = self._objectives_in("float32", nets)
        self._fusion_objectives = self._objectives_in(settings.fusion_precision, nets)
        end = None if settings.third_stage else self.warm_up_epochs
        fusion = Stage(FUSION, settings.fusion_steps, (ALL,), end_epoch=end)
        self.stages = (*self._proposal_stages(), fusion)

    def _proposal_stages(self) -> tuple[Stage, ...]:
        """Returns the stages that move P."""
        settings = self._settings
        if settings.loss_weights == "rule":
            return (Stage(IMITATION, settings.meta_steps, (IMITATED,)),)
        end = self.warm_up_epochs
        meta = Stage(META, settings.meta_steps, (INNER, OUTER), start_epoch=end)
        if not settings.imitation_steps:
            return (meta,)
        count = settings.imitation_steps
        return Stage(IMITATION, count, (IMITATED,), end_epoch=end), meta

    def _objectives_in(self, precision: str, nets: Nets) -> Objectives:
        nets = Nets(*(in_precision(network, precision) for network in nets))
        return Objectives(
            nets=nets.divided(self._mesh) if self._mesh.size > 1 else nets,
            alpha_fusion=self._settings.alpha_fusion,
            alpha_reconstruction=self._settings.alpha_reconstruction,
            weight_power=self._settings.weight_power,
            reduction=self._settings.reduction,
        )

    def init(self, key: Array) -> TrainState:
        """Returns the state before the first step."""
        params = init_params(
            jax.random.fold_in(key, 0),
            interaction=self._settings.interaction,
            gating=self._settings.gating,
            decision=self._settings.decision,
            reconstruction_width=self._settings.reconstruction_width,
            reconstruction_blocks=self._settings.reconstruction_blocks,
            balanced=self._settings.balanced,
        )
        return init_state(params, self._optimizers, jax.random.fold_in(key, 1))

    def rates(self, epoch: int) -> Rates:
        """Returns the step sizes and alpha_1 of an epoch, which counts from 0.

        Every `decay_every` epochs all step sizes are multiplied by `decay_factor`; with
        `alpha_ramp`, alpha_1 grows by equal parts after the warm-up, in which it is 0.
        """
        settings = self._settings
        decay = self._decay(epoch)
        learning_epoch = epoch - self.warm_up_epochs
        ramp_epochs = settings.ramp_share * (self._epochs - self.warm_up_epochs)
        ramp = (learning_epoch + 1) / ramp_epochs if settings.alpha_ramp else 1.0
        ramp = min(1.0, ramp) if learning_epoch >= 0 else 0.0
        rates = Rates(
            inner=settings.inner_learning_rate * decay,
            proposal=settings.proposal_learning_rate * decay,
            imitation=settings.imitation_learning_rate * decay,
            fusion=settings.learning_rate * decay,
            alpha_fusion=settings.alpha_fusion * ramp,
            trust=float(learning_epoch >= 0) if self.warm_up_epochs else None,
        )
        return jax.tree.map(lambda rate: jnp.asarray(rate, jnp.float32), rates)

    def _decay(self, epoch: int) -> float:
        settings = self._settings
        if settings.schedule == "steps":
            decays = epoch // settings.decay_every if settings.decay_every else 0
            return settings.decay_factor**decays
        return half_cosine(epoch, self._epochs)

    def step(
        self, stage: str, state: TrainState, batches: Mapping[str, Batch], rates: Rates
    ) -> tuple[TrainState, Scalars]:
        """Runs one outer update or one fusion update."""
        settings = self._settings
        key = jax.random.fold_in(jax.random.fold_in(state.key, NOISE), state.step)
        if stage == FUSION and settings.identical_share:
            same = jax.random.fold_in(key, IDENTICAL)
            whole = with_identical(batches[ALL.name], settings.identical_share, same)
            batches = {ALL.name: whole}
        pairs = {
            name: pairs_of(
                batch,
                swap=settings.swap,
                noise=settings.reconstruction_noise,
                key=jax.random.fold_in(key, number),
            )
            for number, (name, batch) in enumerate(sorted(batches.items()))
        }
        if stage == IMITATION:
            return imitation_update(
                state,
                pairs[IMITATED.name],
                rule=self._rule,
                imitator=self._imitator,
                optimizers=self._optimizers,
                rates=rates,
            )
        if stage == META:
            return outer_update(
                self._with_fresh_moments(state),
                pairs[INNER.name],
                pairs[OUTER.name],
                objectives=self._objectives,
                optimizers=self._optimizers,
                rates=rates,
                mode=settings.meta_gradient,
                inner_steps=settings.inner_steps,
                direct_term=settings.direct_term,
                keep_adapted=not settings.third_stage,
            )
        return fusion_update(
            state,
            pairs[ALL.name],
            objectives=self._fusion_objectives,
            optimizers=self._optimizers,
            rates=rates,
            joint=settings.joint_loss,
        )

    def _with_fresh_moments(self, state: TrainState) -> TrainState:
        """Clears P's optimiser state before the first outer update after imitation.

        The gradients of imitation are much larger than meta-gradients; Adam would
        divide by them for a thousand updates.
        """
        settings = self._settings
        if not settings.imitation_steps:
            return state
        per_epoch = settings.imitation_steps + settings.fusion_steps
        is_first = state.step == self.warm_up_epochs * per_epoch
        moments = jax.tree.map(
            lambda fresh, old: jnp.where(is_first, fresh, old),
            self._optimizers.proposal.init(state.params.proposal),
            state.opt_states.proposal,
        )
        return state._replace(opt_states=state.opt_states._replace(proposal=moments))

    def validate(self, params: NetsParams, batch: Batch) -> Scalars:
        """Returns the losses, with alpha_1 at its final value, and what was learned.

        Entropies are in bits; the rest is described in `diagnosis`. Weights are
        measured only where P makes them.
        """
        pairs, objectives = pairs_of(batch), self._objectives
        is_learned = self._settings.loss_weights == "learned"
        weights = objectives.propose(params.proposal, pairs)
        fused = objectives.fuse(params.fusion, pairs)
        fusion = objectives.fusion_loss(fused, weights, pairs)
        reconstruction = objectives.reconstruction(params.reconstruction, fused, pairs)
        return {
            "fusion_loss": fusion.total,
            "reconstruction_loss": reconstruction.total,
            "intensity_weights_entropy": binary_entropy(weights.intensity),
            "gradient_weights_entropy": binary_entropy(weights.gradient),
            **observe_fused(fused, pairs),
            **(observe_weights(weights, pairs) if is_learned else {}),
        }

    def look(
        self, params: NetsParams, batch: Batch
    ) -> Sequence[Mapping[str, np.ndarray]]:
        """Returns two rows: the fused picture with reconstructions, and loss maps."""
        made = look(params, batch.source_a, batch.source_b)
        rows = (("fused", "recon_a", "recon_b"), ("w_a", "w_b", "v_a", "v_b"))
        return [{name.replace("_", " "): made[name] for name in row} for row in rows]


def _propose_equal(params: Params, source_a: Image, source_b: Image) -> WeightMaps:
    del params, source_b
    return equal_weights(source_a)
