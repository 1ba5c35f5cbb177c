"""UAAFusion with a segmentation network of one's own in the place of S.

    method = with_network(segment, name="uaafusion-mine")
    registry.register(method)               # now `train` and `Fuser` know it by name

The network is any function that JAX can differentiate, of pictures (batch, height,
width, 1) in [0, 1] to logits (batch, height, width, classes); class 0 is the unlabelled
one. It stays as it is: F alone learns, from L_i, L_v, L_g and the cross-entropy of the
network on f.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from refusion_jax.array_types import Batch, Params
from refusion_jax.methods.descent import descend
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Method, Scalars, TrainState
from refusion_jax.methods.uaafusion.attribution import plain
from refusion_jax.methods.uaafusion.losses import best_class, mean_iou
from refusion_jax.methods.uaafusion.method import METHOD, model
from refusion_jax.methods.uaafusion.model import run
from refusion_jax.methods.uaafusion.nets.fusion import init_fusion
from refusion_jax.methods.uaafusion.nets.networks import started
from refusion_jax.methods.uaafusion.nets.segmentation import Segment, classes_told
from refusion_jax.methods.uaafusion.phases import (
    UNGUIDED,
    rate_of_fusion,
    stages_of_fusion,
)
from refusion_jax.methods.uaafusion.settings import Settings
from refusion_jax.methods.uaafusion.steps import (
    JointLoss,
    Rules,
    guided_loss,
    labels_of,
    named,
)
from refusion_jax.methods.uaafusion.unguided import unguided_update


class FusionParams(NamedTuple):
    """The only tree of such a run.

    Attributes:
      fusion: theta_F.
    """

    fusion: Params


def with_network(network: Segment, *, name: str) -> Method:
    """Returns UAAFusion with another segmentation network, to be registered.

    The settings of S have no effect, `classes` among them: the network tells how many.

    Args:
      network: see the module.
      name: of the method in runs and weight files: another than `uaafusion`.
    """
    return replace(
        METHOD,
        name=name,
        trees=FusionParams._fields,
        learner=partial(OwnLearner, network),
        model=partial(model, network=network),
        classes=classes_told(network),
    )


class OwnLearner:
    """A `Learner` of F alone (see `methods.protocol`)."""

    best = "total_loss"
    headline = {"L": "total_loss"}  # noqa: RUF012

    def __init__(
        self, network: Segment, settings: Settings, epochs: int, mesh: Mesh
    ) -> None:
        """Builds the rules without computing anything.

        Args:
          network: in S's place.
          settings: the method's settings.
          epochs, mesh: not used, see `UAAFusionLearner`.
        """
        del epochs, mesh
        self._own, self._network, self._settings = network, plain(network), settings
        self._classes = classes_told(network)
        self._rules = Rules(
            is_released=settings.variant == "official",
            points=settings.attribution_points,
            attributes_unlabelled=settings.variant == "official",
            gradient_weight=settings.gradient_weight,
            segmentation_weight=settings.segmentation_weight,
            class_weights=settings.class_weights,
        )
        self._optimizer = optax.scale_by_adam()
        self.stages = stages_of_fusion(settings, start=0)
        self.warm_up_epochs = settings.unguided_epochs

    def init(self, key: jax.Array) -> TrainState:
        """Returns the state before the first step."""
        fusion = started(
            init_fusion(jax.random.fold_in(key, 0)),
            released=self._rules.is_released,
            start=self._settings.proximal_start,
        )
        return TrainState(
            params=FusionParams(fusion),
            opt_states=FusionParams(self._optimizer.init(fusion)),
            step=jnp.zeros((), jnp.int32),
            key=jax.random.fold_in(key, 1),
        )

    def rates(self, epoch: int) -> jax.Array:
        """Returns the step size of an epoch, which counts from 0."""
        return jnp.asarray(rate_of_fusion(self._settings, epoch), jnp.float32)

    def _loss(self, fusion: Params, batch: Batch) -> JointLoss:
        network, classes = self._network, self._classes
        labels = labels_of(batch, classes)
        return guided_loss(
            fusion, network, network, batch, labels, classes, self._rules
        )

    def step(
        self, stage: str, state: TrainState, batches: Mapping[str, Batch], rates: Any
    ) -> tuple[TrainState, Scalars]:
        """Runs one update of F."""

        def moved(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
            if stage == UNGUIDED:
                return unguided_update(
                    state,
                    batch,
                    rules=self._rules,
                    optimizer=self._optimizer,
                    rate=rates,
                )

            def objective(fusion: Params) -> tuple[jax.Array, JointLoss]:
                loss = self._loss(fusion, batch)
                return loss.total, loss

            fusion = state.params.fusion
            grads, loss = jax.grad(objective, has_aux=True)(fusion)
            fusion, opt_state, _ = descend(
                self._optimizer, grads, state.opt_states.fusion, fusion, rates
            )
            after = state._replace(
                params=FusionParams(fusion),
                opt_states=FusionParams(opt_state),
                step=state.step + 1,
            )
            return after, named(loss) | {"fusion_grads_norm": optax.tree.norm(grads)}

        (batch,) = batches.values()
        result: tuple[TrainState, Scalars] = in_precision(moved, "float32")(
            state, batch
        )
        return result

    @partial(in_precision, precision="float32")
    def validate(self, params: FusionParams, batch: Batch) -> Scalars:
        """Returns L, and the mean IoU of the network on f and on the sources' mean."""
        loss = self._loss(params.fusion, batch)
        labels = labels_of(batch, self._classes)
        mean = 0.5 * (batch.source_a + batch.source_b)
        scalars = named(loss)
        for name, picture in (("fused", loss.fused), ("mean", mean)):
            logits, _ = self._network(picture)
            scalars[f"miou_{name}"] = mean_iou(
                best_class(logits), labels, self._classes
            )
        return scalars

    def look(
        self, params: FusionParams, batch: Batch
    ) -> Sequence[Mapping[str, np.ndarray]]:
        """Returns a row: the fused picture, and how the sources are weighted."""
        pair = batch.source_a, batch.source_b
        made = jax.device_get(run(params.fusion, (), *pair, "float32", self._own))
        return [{name: made[name][0, ..., 0] for name in ("fused", "w_i", "w_v")}]
