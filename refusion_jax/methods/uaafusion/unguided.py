"""Learning of F alone, before S guides it: w = 1/2 and A = 0, no L_s."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from refusion_jax.array_types import Batch, Params, Scalar
from refusion_jax.methods.descent import descend
from refusion_jax.methods.protocol import Scalars, TrainState
from refusion_jax.methods.uaafusion.guidance import unfold_unguided
from refusion_jax.methods.uaafusion.losses import Fidelity, fidelity
from refusion_jax.methods.uaafusion.steps import Rules


def unguided_update(
    state: TrainState,
    batch: Batch,
    *,
    rules: Rules,
    optimizer: optax.GradientTransformation,
    rate: float | Array,
) -> tuple[TrainState, Scalars]:
    """Moves F by the losses of a picture that no network judges.

    Args:
      state: the state before the update.
      batch: pairs; their labels do not count.
      rules: the variant and `gradient_weight` are used.
      optimizer: of F.
      rate: the step size.

    Returns:
      The new state and scalars: L without L_s, its terms, the gradient's norm.
    """
    a, b = batch.source_a, batch.source_b
    half = jnp.full((*a.shape[:-1], 2), 0.5, a.dtype)

    def objective(fusion: Params) -> tuple[Scalar, Fidelity]:
        made = unfold_unguided(fusion, a, b, is_released=rules.is_released)
        terms = fidelity(made.fused, a, b, half)
        total = terms.intensity_a + terms.intensity_b
        return total + rules.gradient_weight * terms.gradient, terms

    fusion = state.params.fusion
    (total, terms), grads = jax.value_and_grad(objective, has_aux=True)(fusion)
    fusion, opt_state, _ = descend(
        optimizer, grads, state.opt_states.fusion, fusion, rate
    )
    return (
        state._replace(
            params=state.params._replace(fusion=fusion),
            opt_states=state.opt_states._replace(fusion=opt_state),
            step=state.step + 1,
        ),
        {
            "total_loss": total,
            "intensity_loss_a": terms.intensity_a,
            "intensity_loss_b": terms.intensity_b,
            "gradient_loss": terms.gradient,
            "fusion_grads_norm": optax.tree.norm(grads),
        },
    )
