"""The update of S alone, phase 1 of UAAFusion: (state, batch) -> (state, scalars)."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from refusion_jax.array_types import Batch, Image, Params, Scalar
from refusion_jax.methods.descent import descend
from refusion_jax.methods.protocol import Scalars, TrainState
from refusion_jax.methods.uaafusion.losses import cross_entropy
from refusion_jax.methods.uaafusion.nets.networks import NetsParams, classes_of
from refusion_jax.methods.uaafusion.nets.segmentation import (
    segment_in_training,
    update,
)
from refusion_jax.methods.uaafusion.steps import Optimizers, Rates, Rules, labels_of

GAINS = (0.7, 1.3)  # brightness of the pictures


def pretraining_update(
    state: TrainState,
    batch: Batch,
    *,
    rules: Rules,
    optimizers: Optimizers,
    rates: Rates,
    is_frozen: bool = False,
) -> tuple[TrainState, Scalars]:
    """Moves S by the cross-entropy of its logits; F does not change.

    Each picture is source a, source b or their mean, by chance, and brighter or darker,
    so that S accepts any of them. How the authors pre-train S is not released.

    Args:
      state: the state before the update.
      batch: pairs with labels.
      rules: `class_weights` is used.
      optimizers: of S.
      rates: `pretraining` is used.
      is_frozen: whether S normalises by its running statistics, which stay, and has no
        dropout.

    Returns:
      The new state and scalars: the cross-entropy, the gradient's norm.
    """
    params: NetsParams = state.params
    labels = labels_of(batch, classes_of(params.segmentation))
    key = jax.random.fold_in(state.key, state.step)
    picture_key, dropout_key = jax.random.split(key)
    picture = mixed(batch.source_a, batch.source_b, picture_key)

    def objective(segmentation: Params) -> tuple[Scalar, Params]:
        logits, observed = segment_in_training(
            segmentation,
            params.statistics,
            picture,
            by_batch=not is_frozen,
            key=None if is_frozen else dropout_key,
        )
        loss = cross_entropy(logits, labels, class_weights=rules.class_weights)
        return loss, observed

    (loss, observed), grads = jax.value_and_grad(objective, has_aux=True)(
        params.segmentation
    )
    segmentation, opt_state, _ = descend(
        optimizers.segmentation,
        grads,
        state.opt_states.segmentation,
        params.segmentation,
        rates.pretraining,
    )
    statistics = params.statistics
    if not is_frozen:
        statistics = update(statistics, observed)
    return (
        state._replace(
            params=params._replace(segmentation=segmentation, statistics=statistics),
            opt_states=state.opt_states._replace(segmentation=opt_state),
            step=state.step + 1,
        ),
        {"entropy": loss, "segmentation_grads_norm": optax.tree.norm(grads)},
    )


def mixed(source_a: Image, source_b: Image, key: Array) -> Image:
    """Returns source a, source b or their mean for each pair, of a random brightness.

    Args:
      source_a, source_b: luminance in [0, 1].
      key: random key.

    Returns:
      Luminance in [0, 1], clipped.
    """
    choice_key, gain_key = jax.random.split(key)
    shape = (len(source_a), 1, 1, 1)
    share = 0.5 * jax.random.randint(choice_key, shape, 0, 3).astype(source_a.dtype)
    gain = jax.random.uniform(gain_key, shape, source_a.dtype, *GAINS)
    return jnp.clip(gain * (share * source_a + (1 - share) * source_b), 0, 1)
