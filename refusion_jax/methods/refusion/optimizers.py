"""The optimisers of F, R and P; step sizes come from each epoch's rates."""

import jax
import jax.numpy as jnp
import optax

from refusion_jax.methods.refusion.state import Optimizers


def max_norm() -> optax.GradientTransformation:
    """Returns a transform that divides gradients by their largest absolute entry.

    This is the authors' rule for P (HaowenBai/TDFusion, `outer_update`): one global
    maximum over all tensors, so that the step size alone determines how far P moves.
    A zero gradient stays zero.
    """

    def update(
        grads: optax.Updates, state: optax.EmptyState, params: object = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        del params
        largest = optax.tree.max(jax.tree.map(jnp.abs, grads))
        safe = jnp.where(largest > 0, largest, 1)
        return jax.tree.map(lambda g: g / safe, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


PROPOSAL_OPTIMIZERS = {"adam": optax.scale_by_adam, "max_norm": max_norm}


def make_optimizers(*, proposal_optimizer: str, accumulate: int) -> Optimizers:
    """Returns Adam for F and R, and Adam or `max_norm` for P, without step sizes.

    Step sizes come from the `Rates`.

    Args:
      proposal_optimizer: "adam" or "max_norm".
      accumulate: number of outer updates whose meta-gradients are averaged into one
        step of P.

    Returns:
      One transform per network.

    Raises:
      ValueError: for any other proposal_optimizer.
    """
    if proposal_optimizer not in PROPOSAL_OPTIMIZERS:
        raise ValueError(
            "expected proposal_optimizer to be one of "
            f"{', '.join(PROPOSAL_OPTIMIZERS)}, "
            f"got {proposal_optimizer!r}; choose one of these."
        )
    proposal = PROPOSAL_OPTIMIZERS[proposal_optimizer]()
    if accumulate > 1:
        proposal = optax.MultiSteps(proposal, accumulate).gradient_transformation()
    return Optimizers(
        fusion=optax.scale_by_adam(),
        reconstruction=optax.scale_by_adam(),
        proposal=proposal,
    )
