"""What ReFusion's updates read and write: pairs, rates, optimisers, the state."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array

from refusion_jax.array_types import Batch, Image
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.refusion.nets.networks import NetsParams


class Optimizers(NamedTuple):
    """One optax transform a network, without learning rates (see `Rates`)."""

    fusion: optax.GradientTransformation
    reconstruction: optax.GradientTransformation
    proposal: optax.GradientTransformation


class OptimizerStates(NamedTuple):
    """The optimisers' states."""

    fusion: Any
    reconstruction: Any
    proposal: Any


class Pairs(NamedTuple):
    """Pairs as F and P see them, and what R must rebuild.

    Without the swap trick targets and sources are the same. With it half of the pairs
    is shown to F and P in the other order, while R's first output remains source a.

    Attributes:
      source_a, source_b: luminance in [0, 1].
      target_a, target_b: luminance in [0, 1].
    """

    source_a: Image
    source_b: Image
    target_a: Image
    target_b: Image


class Rates(NamedTuple):
    """Numbers that an epoch's schedule sets; traced, so a change compiles nothing.

    Attributes:
      inner: eta_F' = eta_R', step size of the inner update (Eqs. 7, 8).
      proposal: eta_P, step size of the outer update (Eq. 9).
      fusion: step size of Eqs. 11 and 12.
      alpha_fusion: alpha_1, weight of L_f's gradient term.
    """

    inner: float | Array
    proposal: float | Array
    fusion: float | Array
    alpha_fusion: float | Array


def pairs_of(batch: Batch, *, swap: bool = False) -> Pairs:
    """Returns the pairs of a batch, with R's targets.

    Args:
      batch: of which no labels are used.
      swap: whether to add copies whose sources F and P see in the other order. R still
        has to rebuild source a in its first output ("exchanging inputs for stable
        training" in the authors' code).

    Returns:
      As many pairs as the batch has, or twice as many.
    """
    a, b = batch.source_a, batch.source_b
    if not swap:
        return Pairs(a, b, a, b)
    return Pairs(
        source_a=jnp.concatenate([a, b]),
        source_b=jnp.concatenate([b, a]),
        target_a=jnp.concatenate([a, a]),
        target_b=jnp.concatenate([b, b]),
    )


def init_state(params: NetsParams, optimizers: Optimizers, key: Array) -> TrainState:
    """The state before the first step.

    Args:
      params: theta_F, theta_R, theta_P.
      optimizers: one a tree.
      key: the run's key.

    Returns:
      A state at step 0.
    """
    return TrainState(
        params=params,
        opt_states=OptimizerStates(
            *(
                optimizer.init(tree)
                for optimizer, tree in zip(optimizers, params, strict=True)
            )
        ),
        step=jnp.zeros((), jnp.int32),
        key=key,
    )
