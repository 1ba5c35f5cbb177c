"""L_f and L_r as functions of the parameters: where gradients go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.gradients import inner_update
from refusion_jax.methods.refusion.losses import (
    WeightMaps,
    fusion_loss,
    reconstruction_loss,
)
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.state import Pairs


# Networks of a few numbers, each of which matters.
def toy_fuse(theta, a, b):
    return jax.nn.sigmoid(theta[0] * a + theta[1] * jnp.square(b))


def toy_reconstruct(theta, fused):
    return tuple(jax.nn.sigmoid(t[0] * fused + t[1]) for t in theta)


def toy_propose(theta, a, b):
    logits = [jnp.concatenate([t[0] * a, t[1] * b], axis=-1) for t in theta]
    return WeightMaps(*(jax.nn.softmax(x, axis=-1) for x in logits))


TOY = Objectives(nets=Nets(toy_fuse, toy_reconstruct, toy_propose))
IMAGES = jax.random.uniform(jax.random.key(0), (4, 2, 5, 6, 1))
BATCH = Pairs(*IMAGES)


@pytest.fixture
def params():
    rng = np.random.default_rng(1)
    return NetsParams(
        *(jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2,), (2, 2), (2, 2)))
    )


def fusion_total(params):
    weights = TOY.propose(params.proposal, BATCH)
    return TOY.fusion(params.fusion, weights, BATCH).total


def reconstruction_total(params):
    fused = TOY.fuse(params.fusion, BATCH)
    return TOY.reconstruction(params.reconstruction, fused, BATCH).total


def test_the_fusion_loss_reaches_f_and_p_and_not_r(params):
    """Eqs. 1 to 3: theta_P acts through the weights, theta_F through the image."""
    grads = jax.jit(jax.grad(fusion_total))(params)
    assert grads.fusion.all() and grads.proposal.all()
    assert not grads.reconstruction.any()


def test_the_reconstruction_loss_reaches_r_and_f_and_not_p(params):
    """Eqs. 4 to 6: P is only reached through an inner update of F."""
    grads = jax.jit(jax.grad(reconstruction_total))(params)
    assert grads.reconstruction.all() and grads.fusion.all()
    assert not grads.proposal.any()


def test_the_inner_update_makes_f_depend_on_p_and_r_not(params):
    """Eqs. 7 and 8: R steps on the image of F before its update."""

    def adapted(proposal):
        weights = TOY.propose(proposal, BATCH)
        return inner_update(
            params, weights, BATCH, objectives=TOY, learning_rate=0.1
        ).adapted

    derivative = jax.jit(jax.jacobian(adapted))(params.proposal)
    assert derivative.fusion.all()
    assert not derivative.reconstruction.any()


def test_r_rebuilds_the_targets_and_f_sees_the_sources(params):
    fused = toy_fuse(params.fusion, BATCH.source_a, BATCH.source_b)
    recon = toy_reconstruct(params.reconstruction, fused)
    ours = TOY.reconstruction(
        params.reconstruction, TOY.fuse(params.fusion, BATCH), BATCH
    )
    expected = reconstruction_loss(*recon, BATCH.target_a, BATCH.target_b)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    weights = toy_propose(params.proposal, BATCH.source_a, BATCH.source_b)
    expected = fusion_loss(fused, BATCH.source_a, BATCH.source_b, weights)
    ours = TOY.fusion(params.fusion, TOY.propose(params.proposal, BATCH), BATCH)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_settings_reach_their_losses(params):
    objectives = TOY._replace(
        alpha_fusion=0.3, alpha_reconstruction=0.7, weight_power=2, reduction="sum"
    )
    fused = TOY.fuse(params.fusion, BATCH)
    weights = TOY.propose(params.proposal, BATCH)
    np.testing.assert_allclose(
        objectives.fusion_loss(fused, weights, BATCH),
        fusion_loss(fused, *BATCH[:2], weights, alpha=0.3, weight_power=2),
        rtol=1e-6,
    )
    recon = toy_reconstruct(params.reconstruction, fused)
    np.testing.assert_allclose(
        objectives.reconstruction(params.reconstruction, fused, BATCH),
        reconstruction_loss(*recon, *BATCH[2:4], alpha=0.7, reduction="sum"),
        rtol=1e-6,
    )
