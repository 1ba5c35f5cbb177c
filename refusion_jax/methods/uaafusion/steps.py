"""The joint update of UAAFusion as a pure function: (state, batch) -> (state, scalars).

It moves F and S together, by L of `losses` and one backward pass. `pretraining` moves S
alone, `unguided` F alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from refusion_jax.array_types import UNLABELLED, Batch, Image, Params, Scalar
from refusion_jax.methods.descent import descend
from refusion_jax.methods.protocol import Scalars, TrainState
from refusion_jax.methods.uaafusion.attribution import (
    CollectingSegment,
    mask_of_labels,
    without_unlabelled,
)
from refusion_jax.methods.uaafusion.guidance import attribute_sources, unfold_guided
from refusion_jax.methods.uaafusion.losses import (
    Fidelity,
    Labels,
    cross_entropy,
    fidelity,
)
from refusion_jax.methods.uaafusion.nets.networks import NetsParams, classes_of
from refusion_jax.methods.uaafusion.nets.segmentation import (
    Logits,
    segment_in_training,
    update_in_order,
)


class Rules(NamedTuple):
    """What is fixed in a run, besides the step sizes.

    Attributes:
      is_released: the variant, see `guidance`.
      points: K_a.
      attributes_by_batch: whether S normalises by the batch while it attributes, and
        moves its running statistics.
      learns_by_batch: the same while its loss is computed.
      has_dropout: whether passes that normalise by the batch have dropout.
      attributes_unlabelled: whether the unlabelled class gets an attribution.
      gradient_weight, segmentation_weight: of L_g and L_s.
      class_weights: of L_s, see `losses.cross_entropy`.
    """

    is_released: bool = False
    points: int = 5
    attributes_by_batch: bool = False
    learns_by_batch: bool = True
    has_dropout: bool = True
    attributes_unlabelled: bool = False
    gradient_weight: float = 1.0
    segmentation_weight: float = 0.1
    class_weights: str = "equal"

    def scores(self, logits: Logits) -> Logits:
        """Returns what the cross-entropy is taken of."""
        return jax.nn.sigmoid(logits) if self.is_released else logits


class Optimizers(NamedTuple):
    """One optax transform per network that learns, without step sizes."""

    fusion: optax.GradientTransformation
    segmentation: optax.GradientTransformation


class OptimizerStates(NamedTuple):
    """One optimiser state per tree; the statistics need none."""

    fusion: Any
    segmentation: Any
    statistics: Any


class Rates(NamedTuple):
    """The step sizes of an epoch; traced.

    Attributes:
      fusion, segmentation: of F and S in joint updates.
      pretraining: of S in pre-training updates.
    """

    fusion: float | Array
    segmentation: float | Array
    pretraining: float | Array


class JointLoss(NamedTuple):
    """L and its terms.

    Attributes:
      total: L.
      fidelity: L_i, L_v, L_g.
      entropies: CE(S(f)), CE(S(i)), CE(S(v)).
      fused: f.
      observed: moments of S's three passes, along a leading axis.
      collected: moments that attribution has observed, along a leading axis.
    """

    total: Scalar
    fidelity: Fidelity
    entropies: Array
    fused: Image
    observed: Any
    collected: Any


def labels_of(batch: Batch, classes: int) -> Labels:
    """Returns the labels of a batch.

    Args:
      batch: with `third`; labels that S does not know count as unlabelled. Those of
        data sets are checked when they are read.
      classes: number of S's classes.

    Raises:
      ValueError: if the batch has no labels.
    """
    if batch.third is None:
        raise ValueError(
            "expected labels with every pair, got none; name their folder with "
            "--labels=FOLDER."
        )
    labels = batch.third.astype(jnp.int32)
    return jnp.where(labels < classes, labels, UNLABELLED)


def joint_loss(
    fusion: Params,
    segmentation: Params,
    statistics: Params,
    batch: Batch,
    *,
    rules: Rules,
    key: Array | None = None,
) -> JointLoss:
    """Returns L of a batch with labels; attribution is constant.

    Args:
      fusion, segmentation, statistics: the trees.
      batch: pairs with labels.
      rules: what is fixed.
      key: random key of dropout; None: no dropout.
    """
    keys = [None] * 2 if key is None else list(jax.random.split(key))
    attributing = _network(
        segmentation, statistics, by_batch=rules.attributes_by_batch, key=keys[0]
    )
    learning = _network(
        segmentation, statistics, by_batch=rules.learns_by_batch, key=keys[1]
    )
    labels = labels_of(batch, classes_of(segmentation))
    return guided_loss(
        fusion, attributing, learning, batch, labels, classes_of(segmentation), rules
    )


def guided_loss(
    fusion: Params,
    attributing: CollectingSegment,
    learning: CollectingSegment,
    batch: Batch,
    labels: Labels,
    classes: int,
    rules: Rules,
) -> JointLoss:
    """Returns L of a batch, whatever the segmentation network.

    Args:
      fusion: theta_F.
      attributing: S where it attributes; constant.
      learning: S where its loss is computed.
      batch: pairs.
      labels: of the batch, see `labels_of`.
      classes: number of S's classes.
      rules: what is fixed.
    """
    a, b = batch.source_a, batch.source_b
    mask = mask_of_labels(labels, classes).astype(a.dtype)
    if not rules.attributes_unlabelled:
        mask = without_unlabelled(mask)
    attribution = attribute_sources(
        attributing, a, b, mask, points=rules.points, is_released=rules.is_released
    )
    weights = attribution.weights
    unfolding = unfold_guided(
        fusion, attributing, a, b, mask, weights, is_released=rules.is_released
    )
    fused = unfolding.fused
    terms = fidelity(fused, a, b, weights)
    logits, observed = jax.vmap(learning)(jnp.stack([fused, a, b]))
    entropies = jnp.stack(
        [
            cross_entropy(rules.scores(each), labels, class_weights=rules.class_weights)
            for each in logits
        ]
    )
    total = (
        terms.intensity_a
        + terms.intensity_b
        + rules.gradient_weight * terms.gradient
        + rules.segmentation_weight * entropies.mean()
    )
    collected: Any = {}
    if rules.attributes_by_batch:
        # In the order of the released code, whose pass on f^(0) serves nothing else.
        _, of_start = attributing(lax.stop_gradient(0.5 * (a + b)))
        of_start = jax.tree.map(lambda leaf: leaf[None], of_start)
        parts = attribution.collected, of_start, unfolding.collected
        collected = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    return JointLoss(total, terms, entropies, fused, observed, collected)


def joint_update(
    state: TrainState,
    batch: Batch,
    *,
    rules: Rules,
    optimizers: Optimizers,
    rates: Rates,
) -> tuple[TrainState, Scalars]:
    """Moves F and S by one backward pass of L, and the running statistics.

    Args:
      state: the state before the update.
      batch: pairs with labels.
      rules: what is fixed.
      optimizers: of F and S.
      rates: `fusion` and `segmentation` are used.

    Returns:
      The new state and scalars: L, its terms, both gradients' norms.
    """
    params: NetsParams = state.params
    is_random = rules.has_dropout and (
        rules.learns_by_batch or rules.attributes_by_batch
    )
    key = jax.random.fold_in(state.key, state.step) if is_random else None

    def objective(fusion: Params, segmentation: Params) -> tuple[Scalar, JointLoss]:
        loss = joint_loss(
            fusion, segmentation, params.statistics, batch, rules=rules, key=key
        )
        return loss.total, loss

    grads, loss = jax.grad(objective, argnums=(0, 1), has_aux=True)(
        params.fusion, params.segmentation
    )
    statistics = params.statistics
    if rules.attributes_by_batch:
        statistics = update_in_order(statistics, lax.stop_gradient(loss.collected))
    if rules.learns_by_batch:
        statistics = update_in_order(statistics, lax.stop_gradient(loss.observed))
    fusion, fusion_state, _ = descend(
        optimizers.fusion,
        grads[0],
        state.opt_states.fusion,
        params.fusion,
        rates.fusion,
    )
    segmentation, segmentation_state, _ = descend(
        optimizers.segmentation,
        grads[1],
        state.opt_states.segmentation,
        params.segmentation,
        rates.segmentation,
    )
    scalars = {
        **named(loss),
        "fusion_grads_norm": optax.tree.norm(grads[0]),
        "segmentation_grads_norm": optax.tree.norm(grads[1]),
    }
    return (
        state._replace(
            params=NetsParams(fusion, segmentation, statistics),
            opt_states=state.opt_states._replace(
                fusion=fusion_state, segmentation=segmentation_state
            ),
            step=state.step + 1,
        ),
        scalars,
    )


def named(loss: JointLoss) -> Scalars:
    """Returns L and its terms by name.

    Args:
      loss: of a batch.
    """
    return {
        "total_loss": loss.total,
        "intensity_loss_a": loss.fidelity.intensity_a,
        "intensity_loss_b": loss.fidelity.intensity_b,
        "gradient_loss": loss.fidelity.gradient,
        "entropy_fused": loss.entropies[0],
        "entropy_a": loss.entropies[1],
        "entropy_b": loss.entropies[2],
    }


def _network(
    segmentation: Params, statistics: Params, *, by_batch: bool, key: Array | None
) -> CollectingSegment:
    """Returns S, with dropout if it normalises by the batch and there is a key.

    All passes of this network share their dropout.
    """
    own = key if by_batch else None

    def network(image: Image) -> tuple[Logits, Params]:
        return segment_in_training(
            segmentation, statistics, image, by_batch=by_batch, key=own
        )

    return network
