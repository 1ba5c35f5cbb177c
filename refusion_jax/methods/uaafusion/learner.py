"""UAAFusion as the trainer sees it; `phases` says what learns when."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from refusion_jax.array_types import Batch, Image, Params
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Scalars, TrainState
from refusion_jax.methods.step_sizes import half_cosine
from refusion_jax.methods.uaafusion.losses import best_class, mean_iou
from refusion_jax.methods.uaafusion.model import run
from refusion_jax.methods.uaafusion.nets.networks import (
    NetsParams,
    classes_of,
    init_params,
    started,
)
from refusion_jax.methods.uaafusion.nets.segmentation import segment
from refusion_jax.methods.uaafusion.phases import (
    FROZEN,
    JOINT,
    PRETRAINING,
    UNGUIDED,
    decay,
    rate_of_fusion,
    stages_of,
)
from refusion_jax.methods.uaafusion.pretraining import pretraining_update
from refusion_jax.methods.uaafusion.settings import Settings
from refusion_jax.methods.uaafusion.steps import (
    Optimizers,
    OptimizerStates,
    Rates,
    Rules,
    joint_loss,
    joint_update,
    labels_of,
    named,
)
from refusion_jax.methods.uaafusion.unguided import unguided_update

# By stage, besides the unguided one.
_UPDATES: Mapping[str, Callable[..., tuple[TrainState, Scalars]]] = {
    PRETRAINING: pretraining_update,
    FROZEN: partial(pretraining_update, is_frozen=True),
    JOINT: joint_update,
}


class UAAFusionLearner:
    """A `Learner` (see `methods.protocol`)."""

    best = "total_loss"
    headline = {"L": "total_loss", "S": "entropy"}  # noqa: RUF012

    def __init__(self, settings: Settings, epochs: int, mesh: Mesh) -> None:
        """Builds the rules without computing anything.

        Args:
          settings: the method's settings.
          epochs: length of the run, pre-training included.
          mesh: not used: attribution and normalisation join the pictures of a batch.
        """
        del epochs, mesh
        self._settings = settings
        is_official = settings.variant == "official"
        self._rules = Rules(
            is_released=is_official,
            points=settings.attribution_points,
            attributes_by_batch=is_official,
            learns_by_batch=settings.joint_statistics == "batch",
            attributes_unlabelled=is_official,
            gradient_weight=settings.gradient_weight,
            segmentation_weight=settings.segmentation_weight,
            class_weights=settings.class_weights,
        )
        self._optimizers = Optimizers(optax.scale_by_adam(), optax.scale_by_adam())
        self.stages = stages_of(settings)
        self.warm_up_epochs = settings.pretraining_epochs + settings.unguided_epochs

    def init(self, key: Array) -> TrainState:
        """Returns the state before the first step."""
        params = init_params(jax.random.fold_in(key, 0), classes=self._settings.classes)
        params = params._replace(
            fusion=started(
                params.fusion,
                released=self._rules.is_released,
                start=self._settings.proximal_start,
            )
        )
        return TrainState(
            params=params,
            opt_states=OptimizerStates(
                self._optimizers.fusion.init(params.fusion),
                self._optimizers.segmentation.init(params.segmentation),
                {},
            ),
            step=jnp.zeros((), jnp.int32),
            key=jax.random.fold_in(key, 1),
        )

    def rates(self, epoch: int) -> Rates:
        """Returns the step sizes of an epoch, which counts from 0."""
        settings = self._settings
        later = epoch - settings.pretraining_epochs
        share = decay(settings, later - settings.unguided_epochs)
        rates = Rates(
            fusion=rate_of_fusion(settings, later),
            segmentation=settings.segmentation_learning_rate * share,
            pretraining=settings.pretraining_learning_rate
            * half_cosine(epoch, settings.pretraining_epochs),
        )
        return Rates(*(jnp.asarray(rate, jnp.float32) for rate in rates))

    def step(
        self, stage: str, state: TrainState, batches: Mapping[str, Batch], rates: Rates
    ) -> tuple[TrainState, Scalars]:
        """Runs one update of S, of F, or of both."""

        def moved(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
            if stage == UNGUIDED:
                return unguided_update(
                    state,
                    batch,
                    rules=self._rules,
                    optimizer=self._optimizers.fusion,
                    rate=rates.fusion,
                )
            update = partial(
                _UPDATES[stage],
                rules=self._rules,
                optimizers=self._optimizers,
                rates=rates,
            )
            return update(state, batch)

        (batch,) = batches.values()
        result: tuple[TrainState, Scalars] = in_precision(moved, "float32")(
            state, batch
        )
        return result

    @partial(in_precision, precision="float32")
    def validate(self, params: NetsParams, batch: Batch) -> Scalars:
        """Returns L with S as in fusing, and how well S does on each picture.

        `miou_...` is the mean IoU over the classes of a batch, in [0, 1].
        """
        rules = self._rules._replace(
            attributes_by_batch=False, learns_by_batch=False, has_dropout=False
        )
        loss = joint_loss(*params, batch, rules=rules)
        classes = classes_of(params.segmentation)
        labels = labels_of(batch, classes)
        a, b = batch.source_a, batch.source_b
        pictures = {"fused": loss.fused, "a": a, "b": b, "mean": 0.5 * (a + b)}
        scalars = named(loss)
        logits = jax.vmap(lambda x: segment(params.segmentation, params.statistics, x))(
            jnp.stack([*pictures.values()])
        )
        for name, each in zip(pictures, logits, strict=True):
            scalars[f"miou_{name}"] = mean_iou(best_class(each), labels, classes)
        return scalars

    def look(
        self, params: NetsParams, batch: Batch
    ) -> Sequence[Mapping[str, np.ndarray]]:
        """Returns two rows: what fusing gives, and the classes; then attention."""
        guide = params.segmentation, params.statistics
        made = jax.device_get(run(params.fusion, guide, batch.source_a, batch.source_b))
        classes = classes_of(params.segmentation)
        shown = {
            "fused": made["fused"],
            "w_i": made["w_i"],
            "w_v": made["w_v"],
            "labels": np.asarray(labels_of(batch, classes)) / (classes - 1),
            "classes": np.asarray(_predicted(guide, made["fused"])) / (classes - 1),
        }
        rows = shown, {f"attention {k}": made[f"attention_{k}"] for k in range(2, 6)}
        return [
            {name: image.reshape(image.shape[1:3]) for name, image in row.items()}
            for row in rows
        ]


@partial(in_precision, precision="float32")
@jax.jit
def _predicted(guide: tuple[Params, Params], image: Image) -> Array:
    return best_class(segment(*guide, image))
