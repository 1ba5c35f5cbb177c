from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from refusion_jax.array_types import Batch
from refusion_jax.methods.refusion.gradients import inner_update, meta_gradient
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.networks import Nets, init_params
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.optimizers import make_optimizers
from refusion_jax.methods.refusion.state import (
    Optimizers,
    Rates,
    init_state,
    pairs_of,
)
from refusion_jax.methods.refusion.steps import (
    binary_entropy,
    fusion_update,
    outer_update,
)

RATES = Rates(inner=1e-4, proposal=1e-4, fusion=1e-4, alpha_fusion=1.0)
SIZE = 16


def random_batch(seed):
    images = jax.random.uniform(jax.random.key(seed), (2, 2, SIZE, SIZE, 1))
    return pairs_of(Batch(*images))


def compiled(optimizers):
    """Optimisers whose updates are one program for each tree."""
    return Optimizers(
        *(optax.GradientTransformation(x.init, jax.jit(x.update)) for x in optimizers)
    )


def outer_from_start(optimizer, nets):
    """A state, and the outer update from it: (inner, outer) -> (state, scalars)."""
    optimizers = make_optimizers(proposal_optimizer=optimizer, accumulate=1)
    state = init_state(init_params(jax.random.key(0)), optimizers, jax.random.key(1))
    step = partial(
        outer_update,
        state,
        objectives=Objectives(nets=nets),
        optimizers=compiled(optimizers),
        rates=RATES,
    )
    return state, step


@pytest.fixture(scope="module")
def real_nets():
    """The real networks: each, and each of its derivatives, compiles apart and once.

    One program for each update would compile for nearly twice as long.
    """
    return Nets(*map(jax.jit, Nets()))


@pytest.fixture(scope="module")
def real_outer(real_nets):
    return outer_from_start("adam", real_nets)


@pytest.fixture(scope="module", params=["adam", "max_norm"])
def after_outer(request, real_outer, light_nets):
    # Compiling the real networks once is enough: optimisers see trees, not networks.
    is_real = request.param == "adam"
    state, step = real_outer if is_real else outer_from_start(request.param, light_nets)
    return state, *step(random_batch(2), random_batch(3))


@pytest.fixture(scope="module")
def after_fusion(real_nets):
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    state = init_state(init_params(jax.random.key(0)), optimizers, jax.random.key(1))
    after, scalars = fusion_update(
        state,
        random_batch(4),
        objectives=Objectives(nets=real_nets),
        optimizers=compiled(optimizers),
        rates=RATES,
    )
    return state, after, scalars


def identical(tree, other):
    return jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), tree, other))


def share_that_moved(tree, other):
    moved = [
        np.ravel(x != y)
        for x, y in zip(*map(jax.tree.leaves, (tree, other)), strict=True)
    ]
    return np.concatenate(moved).mean()


def test_outer_update_moves_p_and_nothing_else(after_outer):
    before, after, scalars = after_outer
    # Gradients of 1e-8 must not be lost to an optimiser's epsilon. Under max_norm the
    # smallest entries move by less than float32 resolves, so not all of them change.
    assert share_that_moved(before.params.proposal, after.params.proposal) > 0.7
    assert scalars["proposal_relative_update"] > 1e-6
    assert identical(before.params.fusion, after.params.fusion)
    assert identical(before.params.reconstruction, after.params.reconstruction)
    assert after.step == before.step + 1


def test_outer_update_reports_every_number_that_training_is_judged_by(after_outer):
    _, after, scalars = after_outer
    keeps_a_mean = (
        optax.tree_utils.tree_get(after.opt_states.proposal, "mu") is not None
    )
    assert set(scalars) == {
        "fusion_loss",
        "fusion_loss_intensity",
        "fusion_loss_gradient",
        "reconstruction_loss",
        "reconstruction_loss_intensity",
        "reconstruction_loss_gradient",
        "meta_grads_norm",
        "proposal_relative_update",
        "intensity_weights_entropy",
        "gradient_weights_entropy",
    } | ({"meta_grads_agreement"} if keeps_a_mean else set())
    assert 0 < scalars["meta_grads_norm"] < 1e-3


@pytest.mark.parametrize("a", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("b", [0.0, 0.5, 1.0])
def test_all_derivatives_are_finite_on_flat_pictures(real_outer, a, b):
    """In float32, with parameters as training begins.

    The meta-gradient is made of L_f's gradient in theta_F, L_r's in theta_R and
    theta_F', and L_f's mixed second derivative: one of them not finite, and it is not
    finite either. Adam's mean holds a tenth of it.
    """
    flat = pairs_of(
        Batch(*(jnp.full((2, SIZE, SIZE, 1), value, jnp.float32) for value in (a, b)))
    )
    after, scalars = real_outer[1](flat, flat)
    mean = optax.tree_utils.tree_get(after.opt_states.proposal, "mu")
    for leaf in jax.tree.leaves((mean, after.params.proposal, scalars)):
        assert jnp.isfinite(leaf).all()
    assert a == b or any(leaf.any() for leaf in jax.tree.leaves(mean))


def test_fusion_update_leaves_p_bit_identical(after_fusion):
    before, after, _ = after_fusion
    assert identical(before.params.proposal, after.params.proposal)
    assert share_that_moved(before.params.fusion, after.params.fusion) > 0.9
    assert (
        share_that_moved(before.params.reconstruction, after.params.reconstruction)
        > 0.9
    )
    assert after.step == before.step + 1


def test_first_adam_step_has_the_size_of_the_learning_rate(after_fusion):
    """Adam's first update is lr * g / (|g| + eps): lr wherever |g| >> eps."""
    before, after, _ = after_fusion
    moves = jax.tree.map(
        lambda x, y: jnp.abs(x - y), before.params.fusion, after.params.fusion
    )
    sizes = np.concatenate([np.ravel(x) for x in jax.tree.leaves(moves)])
    np.testing.assert_allclose(np.median(sizes), RATES.fusion, rtol=1e-2)


# One weight each: F outputs theta, R adds theta, P proposes (theta, 1 - theta).
TOY = Objectives(
    nets=Nets(
        fuse=lambda theta, a, b: theta * jnp.ones_like(a),
        reconstruct=lambda theta, fused: (fused + theta, fused + theta),
        propose=lambda theta, a, b: WeightMaps(
            *[jnp.concatenate([theta + 0 * a, 1 - theta + 0 * b], axis=-1)] * 2
        ),
    )
)


def toy_state(optimizers):
    from refusion_jax.methods.refusion.nets.networks import NetsParams

    params = NetsParams(*(jnp.asarray(x) for x in (0.4, 0.1, 0.3)))
    return init_state(params, optimizers, jax.random.key(0))


def test_accumulated_outer_updates_move_p_once_by_the_mean():
    batches = [random_batch(seed) for seed in range(4)]
    update = dict(objectives=TOY, rates=RATES)
    single = make_optimizers(proposal_optimizer="max_norm", accumulate=1)
    double = make_optimizers(proposal_optimizer="max_norm", accumulate=2)
    state = toy_state(double)
    half_way, _ = outer_update(state, *batches[:2], optimizers=double, **update)
    assert half_way.params.proposal == state.params.proposal
    done, _ = outer_update(half_way, *batches[2:], optimizers=double, **update)
    # max_norm of one number is its sign: each move has the size of the rate.
    moved = abs(done.params.proposal - state.params.proposal)
    np.testing.assert_allclose(moved, RATES.proposal, rtol=1e-2)
    at_once, _ = outer_update(
        toy_state(single), *batches[:2], optimizers=single, **update
    )
    assert at_once.params.proposal != state.params.proposal


def test_swapped_copies_exchange_sources_and_keep_targets():
    batch = Batch(*jax.random.uniform(jax.random.key(0), (2, 2, SIZE, SIZE, 1)))
    doubled = pairs_of(batch, swap=True)
    np.testing.assert_array_equal(doubled.source_a[2:], batch.source_b)
    np.testing.assert_array_equal(doubled.source_b[2:], batch.source_a)
    for half in (slice(0, 2), slice(2, 4)):
        np.testing.assert_array_equal(doubled.target_a[half], batch.source_a)
        np.testing.assert_array_equal(doubled.target_b[half], batch.source_b)


def test_entropy_is_one_bit_for_indifference_and_zero_for_a_hard_choice():
    indifferent = jnp.full((1, 2, 2, 2), 0.5)
    hard = jnp.zeros((1, 2, 2, 2)).at[..., 0].set(1)
    np.testing.assert_allclose(binary_entropy(indifferent), 1, rtol=1e-6)
    assert binary_entropy(hard) == 0
    quarter = jnp.stack([jnp.full((1, 1, 1), 0.25), jnp.full((1, 1, 1), 0.75)], -1)
    expected = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    np.testing.assert_allclose(binary_entropy(quarter), expected, rtol=1e-6)


def test_the_direct_term_is_the_slope_of_the_fusion_loss():
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    optimizers = optimizers._replace(proposal=optax.identity())
    a, b = jax.random.uniform(jax.random.key(5), (2, 2, SIZE, SIZE, 1))
    batch = pairs_of(Batch(a, b))
    moved = {
        direct: outer_update(
            toy_state(optimizers),
            batch,
            batch,
            objectives=TOY,
            optimizers=optimizers,
            rates=Rates(inner=0.5, proposal=0.1, fusion=0.1, alpha_fusion=0.0),
            direct_term=direct,
        )[0].params.proposal
        for direct in (False, True)
    }
    # L_f = mean(p (a - theta)^2 + (1 - p) (b - theta)^2) with theta = 0.4.
    slope = np.mean(np.square(a - 0.4) - np.square(b - 0.4))
    expected = moved[False] - 0.1 / 0.5 * slope
    np.testing.assert_allclose(moved[True], expected, rtol=1e-5)
    assert abs(slope) > 1e-3


def test_agreement_is_the_cosine_with_the_mean_of_earlier_meta_gradients():
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    batch = random_batch(6)
    state = toy_state(optimizers)
    seen = []
    for sign in (0.0, 1.0, -1.0):
        adam = state.opt_states.proposal
        state = state._replace(
            opt_states=state.opt_states._replace(
                proposal=adam._replace(mu=sign * jnp.ones_like(adam.mu))
            )
        )
        _, scalars = outer_update(
            state, batch, batch, objectives=TOY, optimizers=optimizers, rates=RATES
        )
        seen.append(float(scalars["meta_grads_agreement"]))
    # One parameter: the meta-gradient points the same way as the mean, or the other.
    meta_grads = meta_gradient(
        state.params, batch, batch, objectives=TOY, learning_rate=RATES.inner
    ).meta_grads
    sign = float(jnp.sign(meta_grads))
    assert seen == pytest.approx([0, sign, -sign]) and sign != 0


def test_with_a_joint_loss_r_reaches_f_and_p_stays():
    """Ablation II, worked out on paper: L_f = mean(p (a - f)^2 + (1 - p) (b - f)^2),
    L_r = mean(max((a - f - r)^2, (b - f - r)^2)) with f = 0.4, r = 0.1, p = 0.3."""
    optimizers = Optimizers(*[optax.identity()] * 3)
    batch, before = random_batch(7), toy_state(optimizers)
    moved = {
        joint: fusion_update(
            before,
            batch,
            objectives=TOY._replace(alpha_reconstruction=0.0),
            optimizers=optimizers,
            rates=Rates(inner=0.5, proposal=0.1, fusion=0.1, alpha_fusion=0.0),
            joint=joint,
        )[0].params
        for joint in (False, True)
    }
    a, b = (np.asarray(x, np.float64) for x in (batch.source_a, batch.source_b))
    error_a, error_b = a - 0.5, b - 0.5
    worse = np.where(np.abs(error_a) > np.abs(error_b), error_a, error_b)
    of_fusion_loss = np.mean(-2 * (0.3 * (a - 0.4) + 0.7 * (b - 0.4)))
    of_reconstruction_loss = np.mean(-2 * worse)
    assert abs(of_reconstruction_loss) > 1e-3
    alone = 0.4 - 0.1 * of_fusion_loss
    both = alone - 0.1 * of_reconstruction_loss
    np.testing.assert_allclose(moved[False].fusion, alone, rtol=1e-6)
    np.testing.assert_allclose(moved[True].fusion, both, rtol=1e-6)
    for params in moved.values():
        assert params.proposal == before.params.proposal
        theta_r = 0.1 - 0.1 * of_reconstruction_loss
        np.testing.assert_allclose(params.reconstruction, theta_r, rtol=1e-6)


@pytest.mark.parametrize("mode", ["exact", "first_order", "reverse"])
def test_without_a_third_stage_the_inner_update_is_kept_to_the_bit(mode):
    """Ablation III."""
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    before, batch = toy_state(optimizers), random_batch(8)
    after = {
        keep: outer_update(
            before,
            batch,
            random_batch(9),
            objectives=TOY,
            optimizers=optimizers,
            rates=RATES._replace(inner=0.1),
            mode=mode,
            keep_adapted=keep,
        )[0].params
        for keep in (False, True)
    }
    inner = inner_update(
        before.params,
        TOY.propose(before.params.proposal, batch),
        batch,
        objectives=TOY,
        learning_rate=0.1,
    )
    for tree, adapted in inner.adapted._asdict().items():
        assert getattr(after[True], tree) == adapted != getattr(before.params, tree)
        assert getattr(after[False], tree) == getattr(before.params, tree)
    assert after[True].proposal == after[False].proposal != before.params.proposal
