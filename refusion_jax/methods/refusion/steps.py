"""The paper's updates as pure functions: (state, batch...) -> (state, scalars).

| paper                     | here                                                     |
|---------------------------|----------------------------------------------------------|
| theta_F, theta_R, theta_P | state.params.fusion, .reconstruction, .proposal          |
| Eqs. 7, 8  inner update   | gradients.inner_update: theta_F', theta_R' = adapted     |
| Eqs. 9, 10 outer update   | outer_update: moves theta_P, nothing else                |
| Eqs. 11, 12               | fusion_update: moves theta_F and theta_R, nothing else   |
| Algorithm 1               | M times outer_update, then N times fusion_update         |
| ablation II               | fusion_update with joint: L_r moves theta_F too          |
| ablation III              | outer_update with keep_adapted, N = 0                    |
"""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from refusion_jax.array_types import Image, PairMap, Params
from refusion_jax.methods.descent import descend
from refusion_jax.methods.protocol import Scalars, TrainState
from refusion_jax.methods.refusion.gradients import meta_gradient
from refusion_jax.methods.refusion.losses import Loss
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.state import Optimizers, Pairs, Rates


def outer_update(
    state: TrainState,
    inner_batch: Pairs,
    outer_batch: Pairs,
    *,
    objectives: Objectives,
    optimizers: Optimizers,
    rates: Rates,
    mode: str = "exact",
    inner_steps: int = 1,
    direct_term: bool = False,
    keep_adapted: bool = False,
) -> tuple[TrainState, Scalars]:
    """Moves P so that its loss makes F preserve what R needs (Eqs. 7 to 10).

    theta_P <- theta_P - eta_P dL_r(R_theta_R'(F_theta_F'(outer batch))) / dtheta_P

    P's optimiser receives the meta-gradient divided by eta, whose magnitude does not
    depend on eta: at eta = 1e-4 the meta-gradient itself is so small (1e-8 to 1e-5)
    that SGD would not move P and Adam's epsilon would swamp it.

    Args:
      state: the state before the update; only P, its optimiser state and the step
        change, unless `keep_adapted`.
      inner_batch: meta-train pairs.
      outer_batch: meta-test pairs.
      objectives: L_f and L_r; `rates.alpha_fusion` replaces their alpha_fusion.
      optimizers: `optimizers.proposal` is used.
      rates: `inner`, `proposal`, `alpha_fusion` are used.
      mode, inner_steps: see `gradients.meta_gradient`.
      direct_term: whether to add dL_f(inner batch) / dtheta_P, which lets P lower F's
        loss itself; not part of the method, but in a script that derives from the
        authors', where it is 1e3 to 1e6 times as large as the meta-gradient.
      keep_adapted: whether theta_F', theta_R' replace theta_F, theta_R (ablation III).

    Returns:
      The new state and scalars: both losses with their terms, the norm of the
      meta-gradient, the relative update of P, the entropies of w and v in bits; under
      Adam, the cosine of the meta-gradient with the mean of those before it, which come
      from other batches: about 0 where it is noise.
    """
    result = meta_gradient(
        state.params,
        inner_batch,
        outer_batch,
        objectives=objectives._replace(alpha_fusion=rates.alpha_fusion),
        learning_rate=rates.inner,
        mode=mode,
        inner_steps=inner_steps,
    )
    grads = result.meta_grads
    if direct_term:
        direct = jax.grad(_proposed_fusion_loss)(
            state.params.proposal,
            state.params.fusion,
            inner_batch,
            objectives._replace(alpha_fusion=rates.alpha_fusion),
        )
        grads = optax.tree.add(grads, direct)
    scale_free_grads = optax.tree.scale(1 / rates.inner, grads)
    proposal, opt_state, update_norm = descend(
        optimizers.proposal,
        scale_free_grads,
        state.opt_states.proposal,
        state.params.proposal,
        rates.proposal,
    )
    scalars = {
        **_named("fusion_loss", result.fusion_loss),
        **_named("reconstruction_loss", result.reconstruction_loss),
        "meta_grads_norm": optax.tree.norm(result.meta_grads),
        **_agreement(result.meta_grads, state.opt_states.proposal),
        "proposal_relative_update": update_norm
        / optax.tree.norm(state.params.proposal),
        "intensity_weights_entropy": binary_entropy(result.weights.intensity),
        "gradient_weights_entropy": binary_entropy(result.weights.gradient),
    }
    params = state.params._replace(proposal=proposal)
    if keep_adapted:
        params = params._replace(**result.adapted._asdict())
    return (
        state._replace(
            params=params,
            opt_states=state.opt_states._replace(proposal=opt_state),
            step=state.step + 1,
        ),
        scalars,
    )


def fusion_update(
    state: TrainState,
    batch: Pairs,
    *,
    objectives: Objectives,
    optimizers: Optimizers,
    rates: Rates,
    joint: bool = False,
) -> tuple[TrainState, Scalars]:
    """Moves F under the learned loss and R under the reconstruction loss (Eqs. 11, 12).

    theta_F <- Adam(theta_F, dL_f / dtheta_F),  P held fixed
    theta_R <- Adam(theta_R, dL_r / dtheta_R),  I_f held fixed

    Args:
      state: the state before the update; P does not change.
      batch: fusion-train pairs.
      objectives: L_f and L_r; `rates.alpha_fusion` replaces their alpha_fusion.
      optimizers: `optimizers.fusion` and `optimizers.reconstruction` are used.
      rates: `fusion`, `alpha_fusion` and `trust` are used.
      joint: whether theta_F moves by d(L_f + L_r) / dtheta_F (ablation II): with Adam
        per number, that is one Adam over theta_F and theta_R on L_f + L_r.

    Returns:
      The new state and scalars: both losses with their terms, both gradients' norms.
    """
    objectives = objectives._replace(alpha_fusion=rates.alpha_fusion)
    params, opt_states = state.params, state.opt_states
    weights = objectives.propose(params.proposal, batch)
    if rates.trust is not None:
        weights = jax.tree.map(lambda x: 0.5 + rates.trust * (x - 0.5), weights)

    def fusion_objective(theta: Params) -> tuple[Array, tuple[Loss, Image]]:
        fused = objectives.fuse(theta, batch)
        loss = objectives.fusion_loss(fused, weights, batch)
        total = loss.total
        if joint:
            rebuilt = objectives.reconstruction(params.reconstruction, fused, batch)
            total += rebuilt.total
        return total, (loss, fused)

    fusion_grads, (fusion_loss, fused) = jax.grad(fusion_objective, has_aux=True)(
        params.fusion
    )

    def reconstruction_objective(theta: Params) -> tuple[Array, Loss]:
        loss = objectives.reconstruction(theta, fused, batch)
        return loss.total, loss

    reconstruction_grads, reconstruction_loss = jax.grad(
        reconstruction_objective, has_aux=True
    )(params.reconstruction)
    fusion, fusion_opt_state, _ = descend(
        optimizers.fusion, fusion_grads, opt_states.fusion, params.fusion, rates.fusion
    )
    reconstruction, reconstruction_opt_state, _ = descend(
        optimizers.reconstruction,
        reconstruction_grads,
        opt_states.reconstruction,
        params.reconstruction,
        rates.fusion,
    )
    scalars = {
        **_named("fusion_loss", fusion_loss),
        **_named("reconstruction_loss", reconstruction_loss),
        "fusion_grads_norm": optax.tree.norm(fusion_grads),
        "reconstruction_grads_norm": optax.tree.norm(reconstruction_grads),
    }
    return (
        state._replace(
            params=params._replace(fusion=fusion, reconstruction=reconstruction),
            opt_states=opt_states._replace(
                fusion=fusion_opt_state, reconstruction=reconstruction_opt_state
            ),
            step=state.step + 1,
        ),
        scalars,
    )


def imitation_update(
    state: TrainState,
    pairs: Pairs,
    *,
    rule: Objectives,
    imitator: Objectives,
    optimizers: Optimizers,
    rates: Rates,
) -> tuple[TrainState, Scalars]:
    """Moves P towards weights that a rule proposes; not part of the paper.

    theta_P <- Adam(theta_P, dC / dtheta_P),  C the cross-entropy of P's maps with the
    rule's, less its smallest value: the entropy of the rule's own.

    Args:
      state: the run; only its P, P's optimiser state and its step change.
      pairs: what both are shown.
      rule: `propose` makes the maps to imitate.
      imitator: `propose` runs P.
      optimizers: `optimizers.proposal` is used.
      rates: `imitation` is used.

    Returns:
      The new state and scalars: C in bits of w and of v, the relative update of P.
    """
    targets = rule.propose(state.params.proposal, pairs)

    def excess(theta: Params) -> tuple[Array, list[Array]]:
        maps = imitator.propose(theta, pairs)
        parts = [
            _cross_entropy(target, made) - binary_entropy(target)
            for target, made in zip(targets, maps, strict=True)
        ]
        return parts[0] + parts[1], parts

    grads, parts = jax.grad(excess, has_aux=True)(state.params.proposal)
    proposal, opt_state, update_norm = descend(
        optimizers.proposal,
        grads,
        state.opt_states.proposal,
        state.params.proposal,
        rates.imitation,
    )
    scalars = {
        "intensity_imitation_error": parts[0],
        "gradient_imitation_error": parts[1],
        "proposal_relative_update": update_norm
        / optax.tree.norm(state.params.proposal),
    }
    return (
        state._replace(
            params=state.params._replace(proposal=proposal),
            opt_states=state.opt_states._replace(proposal=opt_state),
            step=state.step + 1,
        ),
        scalars,
    )


def _agreement(meta_grads: Params, opt_state: optax.OptState) -> Scalars:
    """Returns the cosine of a meta-gradient with the mean that Adam keeps, if any."""
    mean = optax.tree_utils.tree_get(opt_state, "mu")
    if mean is None:
        return {}
    product = optax.tree.norm(meta_grads) * optax.tree.norm(mean)
    cosine = optax.tree.vdot(meta_grads, mean) / jnp.where(product > 0, product, 1)
    return {"meta_grads_agreement": cosine}


def _proposed_fusion_loss(
    proposal: Params, fusion: Params, batch: Pairs, objectives: Objectives
) -> Array:
    """Returns L_f as a function of theta_P."""
    weights = objectives.propose(proposal, batch)
    return objectives.fusion(fusion, weights, batch).total


def _cross_entropy(target: PairMap, made: PairMap) -> Array:
    """Returns the mean cross-entropy of weight pairs in bits."""
    tiny = jnp.finfo(made.dtype).eps  # float32 softmax reaches 0
    return -(target * jnp.log2(made + tiny)).sum(axis=-1).mean()


def binary_entropy(weights: PairMap) -> Array:
    """Returns the mean entropy of weight pairs in bits: 0 is a hard choice, 1 none."""
    # xlogy is 0 at 0, where log would be infinite.
    nats = -jax.scipy.special.xlogy(weights, weights).sum(axis=-1).mean()
    return nats / jnp.log(jnp.asarray(2, weights.dtype))


def _named(name: str, loss: Loss) -> Scalars:
    return {
        name: loss.total,
        f"{name}_intensity": loss.intensity,
        f"{name}_gradient": loss.gradient,
    }
