"""Optimisers and schedules from plain numbers."""

import jax
import jax.numpy as jnp
import optax

from refusion_jax.methods.refusion.state import Optimizers, Rates


def max_norm() -> optax.GradientTransformation:
    """Divides a gradient tree by its largest absolute entry; zero stays zero.

    The authors' rule for P (HaowenBai/TDFusion, `outer_update`): one global maximum
    over all tensors, so that the step size alone says how far P moves.
    """

    def update(
        grads: optax.Updates, state: optax.EmptyState, params: object = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        del params
        largest = optax.tree.max(jax.tree.map(jnp.abs, grads))
        safe = jnp.where(largest > 0, largest, 1)
        return jax.tree.map(lambda g: g / safe, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def make_optimizers(*, proposal_optimizer: str, accumulate: int) -> Optimizers:
    """Adam for F and R, Adam or `max_norm` for P; step sizes come with the `Rates`.

    Args:
      proposal_optimizer: "adam" or "max_norm".
      accumulate: outer updates whose meta-gradients are averaged into one step of P.

    Returns:
      One transform a network.

    Raises:
      ValueError: for another name.
    """
    choices = {"adam": optax.scale_by_adam, "max_norm": max_norm}
    if proposal_optimizer not in choices:
        raise ValueError(
            f"Unknown proposal_optimizer {proposal_optimizer!r}. "
            f"Choose from: {', '.join(choices)}."
        )
    proposal = choices[proposal_optimizer]()
    if accumulate > 1:
        proposal = optax.MultiSteps(proposal, accumulate).gradient_transformation()
    return Optimizers(
        fusion=optax.scale_by_adam(),
        reconstruction=optax.scale_by_adam(),
        proposal=proposal,
    )


def rates_at(
    epoch: int,
    *,
    epochs: int,
    learning_rate: float,
    inner_learning_rate: float,
    proposal_learning_rate: float,
    decay_every: int,
    decay_factor: float,
    alpha_fusion: float,
    alpha_ramp: bool,
) -> Rates:
    """The numbers of one epoch.

    All step sizes decay together by `decay_factor` every `decay_every` epochs (0:
    never); with `alpha_ramp`, alpha_1 is (epoch + 1) / epochs of its value.

    Args:
      epoch: from 0.
      epochs: length of the run.
      learning_rate, inner_learning_rate, proposal_learning_rate: of epoch 0.
      decay_every: in epochs.
      decay_factor: factor of each decay.
      alpha_fusion: alpha_1 at the end of the ramp.
      alpha_ramp: whether there is a ramp.

    Returns:
      Step sizes and alpha_1.
    """
    decay = decay_factor ** (epoch // decay_every) if decay_every else 1.0
    ramp = (epoch + 1) / epochs if alpha_ramp else 1.0
    return Rates(
        inner=inner_learning_rate * decay,
        proposal=proposal_learning_rate * decay,
        fusion=learning_rate * decay,
        alpha_fusion=alpha_fusion * ramp,
    )
