"""What ReFusion's updates read and write: pairs, rates, optimisers and the state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from refusion_jax.array_types import Batch, Image
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.refusion.nets.networks import NetsParams


class Optimizers(NamedTuple):
    """One optax transform per network, without learning rates (see `Rates`)."""

    fusion: optax.GradientTransformation
    reconstruction: optax.GradientTransformation
    proposal: optax.GradientTransformation


class OptimizerStates(NamedTuple):
    """One optimiser state per network."""

    fusion: Any
    reconstruction: Any
    proposal: Any


class Pairs(NamedTuple):
    """Pairs as F and P see them, and the targets that R must rebuild.

    Without the swap trick, targets and sources are the same. With it, F and P see half
    of the pairs in reverse order, while R's first output still has to be source a.

    Attributes:
      source_a, source_b: luminance in [0, 1].
      target_a, target_b: luminance in [0, 1], in the original order.
      noise: what is added to the fused picture before R reads it; None adds nothing.
    """

    source_a: Image
    source_b: Image
    target_a: Image
    target_b: Image
    noise: Image | None = None


class Rates(NamedTuple):
    """The numbers that change by epoch; traced, so that no change recompiles a step.

    Attributes:
      inner: eta_F' = eta_R', step size of the inner update (Eqs. 7, 8).
      proposal: eta_P, step size of the outer update (Eq. 9).
      fusion: step size of Eqs. 11 and 12.
      alpha_fusion: alpha_1, weight of L_f's gradient term.
      imitation: step size of P while it imitates a rule.
      trust: how far F's loss follows the weight maps, 0 is equal weights; None follows.
    """

    inner: float | Array
    proposal: float | Array
    fusion: float | Array
    alpha_fusion: float | Array
    imitation: float | Array = 0.0
    trust: float | Array | None = None


def pairs_of(
    batch: Batch, *, swap: bool = False, noise: float = 0.0, key: Array | None = None
) -> Pairs:
    """Returns the pairs of a batch, with R's targets.

    Args:
      batch: the pairs; `third` is ignored.
      swap: whether to add copies whose sources F and P see in reverse order. R still
        has to rebuild source a in its first output ("exchanging inputs for stable
        training" in the authors' code).
      noise: standard deviation of `Pairs.noise`, in luminance.
      key: for the noise; None draws none.

    Returns:
      As many pairs as the batch has, or twice as many with `swap`.
    """
    a, b = batch.source_a, batch.source_b
    pairs = Pairs(a, b, a, b)
    if swap:
        pairs = Pairs(
            source_a=jnp.concatenate([a, b]),
            source_b=jnp.concatenate([b, a]),
            target_a=jnp.concatenate([a, a]),
            target_b=jnp.concatenate([b, b]),
        )
    if noise == 0 or key is None:
        return pairs
    shape = pairs.source_a.shape
    return pairs._replace(noise=noise * jax.random.normal(key, shape, a.dtype))


def with_identical(batch: Batch, share: float, key: Array) -> Batch:
    """Replaces some pairs by one of their sources, twice.

    Of sources that agree, the fused picture should be that picture. Real pairs hardly
    ever agree, so F is free to shift their common black or to sharpen both.

    Args:
      batch: the pairs; `third` is kept.
      share: probability with which a pair is replaced, in [0, 1].
      key: of the draw; each source is as likely to be the one that stays.

    Returns:
      As many pairs.
    """
    a, b = batch.source_a, batch.source_b
    shape = (a.shape[0], 1, 1, 1)
    replaced, keeps_a = (
        jax.random.bernoulli(part, probability, shape)
        for part, probability in zip(jax.random.split(key), (share, 0.5), strict=True)
    )
    kept = jnp.where(keeps_a, a, b)
    return batch._replace(
        source_a=jnp.where(replaced, kept, a), source_b=jnp.where(replaced, kept, b)
    )


def init_state(params: NetsParams, optimizers: Optimizers, key: Array) -> TrainState:
    """Returns the state before the first step.

    Args:
      params: theta_F, theta_R, theta_P.
      optimizers: one per tree.
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
