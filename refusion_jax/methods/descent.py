"""One step of an optimiser whose step size comes from outside, epoch by epoch."""

import optax
from jax import Array

from refusion_jax.array_types import Params, Scalar


def descend(
    optimizer: optax.GradientTransformation,
    grads: Params,
    opt_state: optax.OptState,
    params: Params,
    learning_rate: float | Array,
) -> tuple[Params, optax.OptState, Scalar]:
    """Moves parameters by -learning_rate times the optimiser's direction.

    Args:
      optimizer: a transform without a step size.
      grads: the gradient, of the structure of the parameters.
      opt_state: the optimiser's state before the step.
      params: the parameters before the step.
      learning_rate: the step size.

    Returns:
      The parameters and the state after the step, and the norm of the move.
    """
    direction, opt_state = optimizer.update(grads, opt_state, params)
    updates = optax.tree.scale(-learning_rate, direction)
    return optax.apply_updates(params, updates), opt_state, optax.tree.norm(updates)
