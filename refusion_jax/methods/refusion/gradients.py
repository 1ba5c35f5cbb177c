"""The meta-gradient dL_r / dtheta_P of Eqs. 9 and 10, in all its modes.

theta_P acts on L_r only through the inner step of F,

    theta_F' = theta_F - eta * dL_f(inner batch; theta_F, theta_P) / dtheta_F,      (7)

so with v = dL_r(outer batch; theta_F', theta_R') / dtheta_F'                       (10)

    dL_r / dtheta_P = -eta * d/dtheta_P < v, dL_f / dtheta_F >,    v held fixed.

L_f depends on theta_P only through the weight maps. Swapping the two derivatives of
the mixed term therefore leaves one forward-mode pass of F in direction v and one
reverse-mode pass of P: mode `exact`. The other modes are an oracle for it (`reverse`)
and approximations of it.

With K inner steps (k = 0 ... K - 1) `exact` goes back through them. Let v, u be the
derivatives of L_r(outer batch) in what step k makes of theta_F, theta_R, and

    s_k = < v, dL_f / dtheta_F > + < u, dL_r / dtheta_R >     at step k, v and u fixed.

Then v - eta ds_k / dtheta_F and u - eta ds_k / dtheta_R are the derivatives before the
step (R rebuilds from I_f, so F moves it too), and -eta ds_k / dtheta_P is its share of
the meta-gradient. s_k is a forward-mode pass: nothing differentiates a backward pass.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.refusion.losses import Loss, WeightMaps
from refusion_jax.methods.refusion.nets.networks import NetsParams
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.state import Pairs

# Relative size of the probe theta_F +- eps v of `finite_difference`: eps |v| is this
# times |theta_F|. Larger errs by curvature, smaller by float32 rounding.
PROBE_SIZE = 1e-3


class Adapted(NamedTuple):
    """theta_F' and theta_R', the parameters after the inner update."""

    fusion: Params
    reconstruction: Params


class InnerResult(NamedTuple):
    """The result of the inner update.

    Attributes:
      adapted: theta_F', theta_R'.
      fused: F's output on the inner batch before the update.
      fusion_loss: L_f on the inner batch before the update.
    """

    adapted: Adapted
    fused: Image
    fusion_loss: Loss


class MetaGradient(NamedTuple):
    """A meta-gradient and the quantities computed on the way.

    Attributes:
      meta_grads: dL_r / dtheta_P.
      adapted: theta_F', theta_R', after the last inner step.
      fusion_loss: L_f on the inner batch, before the inner update.
      reconstruction_loss: L_r on the outer batch, after it; in mode first_order that of
        theta_F and theta_R'.
      weights: the weight maps that P proposed for the inner batch.
    """

    meta_grads: Params
    adapted: Adapted
    fusion_loss: Loss
    reconstruction_loss: Loss
    weights: WeightMaps


def inner_update(
    params: NetsParams,
    weights: WeightMaps,
    batch: Pairs,
    *,
    objectives: Objectives,
    learning_rate: float | Array,
) -> InnerResult:
    """Takes one SGD step of F under the proposed loss and one of R (Eqs. 7 and 8).

    theta_F' <- theta_F - eta dL_f / dtheta_F
    theta_R' <- theta_R - eta dL_r / dtheta_R, where R rebuilds from I_f of theta_F,
                                               not of theta_F'

    Args:
      params: the three trees; theta_F and theta_R are read.
      weights: P's proposal for this batch.
      batch: the meta-train batch.
      objectives: L_f and L_r.
      learning_rate: eta.

    Returns:
      The adapted parameters; differentiable in `params.fusion` and `weights`.
    """
    # F and loss are differentiated apart, because then one forward pass of F serves the
    # gradients of both L_f and L_r.
    fused, pull_back = jax.vjp(
        lambda theta: objectives.fuse(theta, batch), params.fusion
    )

    def loss_of_fused(image: Image) -> tuple[Array, Loss]:
        loss = objectives.fusion_loss(image, weights, batch)
        return loss.total, loss

    fused_grad, loss = jax.grad(loss_of_fused, has_aux=True)(fused)
    (fusion_grads,) = pull_back(fused_grad)
    reconstruction_grads = jax.grad(
        lambda theta: objectives.reconstruction(theta, fused, batch).total
    )(params.reconstruction)
    return InnerResult(
        adapted=Adapted(
            fusion=_descend(params.fusion, fusion_grads, learning_rate),
            reconstruction=_descend(
                params.reconstruction, reconstruction_grads, learning_rate
            ),
        ),
        fused=fused,
        fusion_loss=loss,
    )


def outer_loss(
    adapted: Adapted, batch: Pairs, *, objectives: Objectives
) -> tuple[Array, Loss]:
    """Returns total and terms of L_r on the meta-test batch, after the inner update."""
    fused = objectives.fuse(adapted.fusion, batch)
    loss = objectives.reconstruction(adapted.reconstruction, fused, batch)
    return loss.total, loss


def _descend(params: Params, grads: Params, learning_rate: float | Array) -> Params:
    return jax.tree.map(lambda p, g: p - learning_rate * g, params, grads)


def _through_mixed_term(
    params: NetsParams,
    inner_batch: Pairs,
    outer_batch: Pairs,
    *,
    objectives: Objectives,
    learning_rate: float | Array,
    adapt_fusion: bool,
    mixed_term: Callable[..., WeightMaps],
) -> MetaGradient:
    """Evaluates Eq. 10; `mixed_term` says how L_f's weight gradient changes along v."""
    weights, pull_back_proposal = jax.vjp(
        lambda theta: objectives.propose(theta, inner_batch), params.proposal
    )
    inner = inner_update(
        params,
        weights,
        inner_batch,
        objectives=objectives,
        learning_rate=learning_rate,
    )
    v, loss = jax.grad(
        lambda theta: outer_loss(
            inner.adapted._replace(fusion=theta), outer_batch, objectives=objectives
        ),
        has_aux=True,
    )(inner.adapted.fusion if adapt_fusion else params.fusion)

    def weight_grads(theta: Params) -> WeightMaps:
        fused = objectives.fuse(theta, inner_batch)
        return jax.grad(
            lambda maps: objectives.fusion_loss(fused, maps, inner_batch).total
        )(weights)

    cotangent = jax.tree.map(
        lambda x: -learning_rate * x, mixed_term(weight_grads, params.fusion, v)
    )
    (meta_grads,) = pull_back_proposal(cotangent)
    return MetaGradient(meta_grads, inner.adapted, inner.fusion_loss, loss, weights)


def _moved(
    before: Adapted, weights: WeightMaps, params: NetsParams, batch: Pairs, **fixed: Any
) -> InnerResult:
    """Takes an inner step from where the steps before it have led."""
    return inner_update(params._replace(**before._asdict()), weights, batch, **fixed)


def _back_through_steps(
    params: NetsParams,
    inner_batch: Pairs,
    outer_batch: Pairs,
    *,
    objectives: Objectives,
    learning_rate: float | Array,
    inner_steps: int,
) -> MetaGradient:
    """Carries v and u back through several inner steps, see above."""
    fixed = {"objectives": objectives, "learning_rate": learning_rate}
    weights, pull_back_proposal = jax.vjp(
        lambda theta: objectives.propose(theta, inner_batch), params.proposal
    )

    def step(before: Adapted, _: None) -> tuple[Adapted, tuple[Adapted, Loss]]:
        inner = _moved(before, weights, params, inner_batch, **fixed)
        return inner.adapted, (before, inner.fusion_loss)

    start = Adapted(params.fusion, params.reconstruction)
    adapted, (path, losses) = jax.lax.scan(step, start, length=inner_steps)
    adjoint, loss = jax.grad(
        lambda theta: outer_loss(theta, outer_batch, objectives=objectives),
        has_aux=True,
    )(adapted)

    def slope(at: Adapted, maps: WeightMaps, along: Adapted) -> Array:
        fuse = partial(objectives.fuse, batch=inner_batch)
        fused, change = jax.jvp(fuse, (at.fusion,), (along.fusion,))

        def losses(image: Image, theta: Params) -> Array:
            rebuilt = objectives.reconstruction(theta, fused, inner_batch)
            return (
                objectives.fusion_loss(image, maps, inner_batch).total + rebuilt.total
            )

        ahead = (change, along.reconstruction)
        return jax.jvp(losses, (fused, at.reconstruction), ahead)[1]

    def back(adjoint: Adapted, at: Adapted) -> tuple[Adapted, WeightMaps]:
        moved, share = jax.grad(slope, argnums=(0, 1))(at, weights, adjoint)
        return _descend(adjoint, moved, learning_rate), share

    first, later = (
        jax.tree.map(lambda x, i=i: x[i], path) for i in (0, slice(1, None))
    )
    adjoint, shares = jax.lax.scan(back, adjoint, later, reverse=True)
    # Before the first step nothing depends on theta_P.
    last = jax.grad(slope, argnums=1)(first, weights, adjoint)
    cotangent = jax.tree.map(
        lambda x, rest: -learning_rate * (x + rest.sum(axis=0)), last, shares
    )
    (meta_grads,) = pull_back_proposal(cotangent)
    first_loss = jax.tree.map(lambda x: x[0], losses)
    return MetaGradient(meta_grads, adapted, first_loss, loss, weights)


def _jvp_term(
    weight_grads: Callable[[Params], WeightMaps], theta: Params, v: Params
) -> WeightMaps:
    return jax.jvp(weight_grads, (theta,), (v,))[1]


def _central_difference_term(
    weight_grads: Callable[[Params], WeightMaps], theta: Params, v: Params
) -> WeightMaps:
    v_norm = optax.tree.norm(v)
    # v = 0 has a zero derivative and no direction to probe: any finite step will do.
    safe_norm = jnp.where(v_norm > 0, v_norm, 1)
    step = PROBE_SIZE * optax.tree.norm(theta) / safe_norm
    ahead = weight_grads(_descend(theta, v, -step))
    behind = weight_grads(_descend(theta, v, step))
    return jax.tree.map(lambda x, y: (x - y) / (2 * step), ahead, behind)


def _through_inner_steps(
    params: NetsParams,
    inner_batch: Pairs,
    outer_batch: Pairs,
    *,
    objectives: Objectives,
    learning_rate: float | Array,
    inner_steps: int,
    stop_inner_gradient: bool,
) -> MetaGradient:
    """Applies jax.grad to the whole inner update, as the paper writes it."""
    fixed = {"objectives": objectives, "learning_rate": learning_rate}

    def outer_of_proposal(theta: Params) -> tuple[Array, MetaGradient]:
        weights = objectives.propose(theta, inner_batch)

        def step(adapted: Adapted, _: None) -> tuple[Adapted, Loss]:
            inner = _moved(adapted, weights, params, inner_batch, **fixed)
            return inner.adapted, inner.fusion_loss

        start = Adapted(params.fusion, params.reconstruction)
        if inner_steps == 1:
            adapted, first_loss = step(start, None)
        else:
            # Between steps only the parameters are kept, not the steps' intermediates.
            # A scan, because XLA then compiles one step, whatever their number.
            step = jax.checkpoint(step, prevent_cse=False)
            adapted, losses = jax.lax.scan(step, start, length=inner_steps)
            first_loss = jax.tree.map(lambda x: x[0], losses)
        if stop_inner_gradient:
            adapted = jax.lax.stop_gradient(adapted)
        total, loss = outer_loss(adapted, outer_batch, objectives=objectives)
        return total, MetaGradient(None, adapted, first_loss, loss, weights)

    meta_grads, seen = jax.grad(outer_of_proposal, has_aux=True)(params.proposal)
    return seen._replace(meta_grads=meta_grads)


_SINGLE_STEP_MODES = {
    "exact": partial(_through_mixed_term, adapt_fusion=True, mixed_term=_jvp_term),
    "first_order": partial(
        _through_mixed_term, adapt_fusion=False, mixed_term=_jvp_term
    ),
    "finite_difference": partial(
        _through_mixed_term, adapt_fusion=True, mixed_term=_central_difference_term
    ),
}
MULTI_STEP_MODES = ("exact", "reverse", "stopped")
MODES = tuple(dict.fromkeys((*_SINGLE_STEP_MODES, *MULTI_STEP_MODES)))


def meta_gradient(
    params: NetsParams,
    inner_batch: Pairs,
    outer_batch: Pairs,
    *,
    objectives: Objectives,
    learning_rate: float | Array,
    mode: str = "exact",
    inner_steps: int = 1,
) -> MetaGradient:
    """Returns the meta-gradient dL_r / dtheta_P of Eq. 9.

    L_r is taken on the outer batch, after the inner update on the inner batch.

    Modes:
      exact: Eq. 10 by one JVP of F and one VJP of P, for each inner step. The default.
      reverse: reverse mode through the inner update; equal up to rounding, at the price
        of more time and memory.
      first_order: takes v at theta_F instead of theta_F', which neglects how v changes
        along the step; the error vanishes with eta.
      finite_difference: takes the mixed term from first-order gradients at
        theta_F +- eps v; exact up to O(eps^2) and the rounding of a difference (about
        1% in float32).
      stopped: MAML's first-order trick, which holds the inner gradient constant.
        theta_P reaches L_r only through that gradient, so the result is exactly zero.

    Args:
      params: theta_F, theta_R, theta_P.
      inner_batch: meta-train pairs.
      outer_batch: meta-test pairs.
      objectives: L_f and L_r.
      learning_rate: eta of the inner update.
      mode: one of `MODES`.
      inner_steps: SGD steps on the inner batch; the paper takes one.

    Returns:
      The meta-gradient, the adapted parameters, both losses and the proposed weight
      maps.

    Raises:
      ValueError: for an unknown mode, or more inner steps than the mode supports.
    """
    if mode not in MODES:
        raise ValueError(
            f"expected a mode of the meta-gradient among {', '.join(MODES)}, got "
            f"{mode!r}; choose one of these."
        )
    if inner_steps < 1:
        raise ValueError(
            f"expected inner_steps of at least 1, got {inner_steps}; take one or more."
        )
    if inner_steps > 1 and mode not in MULTI_STEP_MODES:
        raise ValueError(
            f"expected one inner step in mode {mode!r}, got {inner_steps}; use mode "
            "'exact' for more."
        )
    if mode in _SINGLE_STEP_MODES and inner_steps == 1:
        method = _SINGLE_STEP_MODES[mode]
    elif mode == "exact":
        method = partial(_back_through_steps, inner_steps=inner_steps)
    else:
        method = partial(
            _through_inner_steps,
            inner_steps=inner_steps,
            stop_inner_gradient=mode == "stopped",
        )
    return method(
        params,
        inner_batch,
        outer_batch,
        objectives=objectives,
        learning_rate=learning_rate,
    )
