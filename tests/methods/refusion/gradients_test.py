"""The meta-gradient against two independent checks: by hand, and finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from refusion_jax.array_types import Batch
from refusion_jax.methods.refusion.gradients import (
    inner_update,
    meta_gradient,
    outer_loss,
)
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams, init_params
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.state import pairs_of

# Large, so that what the inner step adds stands clear of rounding.
ETA = 0.1


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def relative_distance(tree, other):
    return np.linalg.norm(flat(tree) - flat(other)) / np.linalg.norm(flat(other))


# A problem small enough for a sheet of paper. Pictures have one pixel, so Sobel
# gradients vanish; F outputs theta_F, R outputs theta_R + I_f twice, P proposes
# w_a = theta_P, w_b = 1 - theta_P.
def toy_propose(theta, a, b):
    maps = jnp.concatenate(
        [theta * jnp.ones_like(a), (1 - theta) * jnp.ones_like(b)], -1
    )
    return WeightMaps(maps, maps)


TOY = Objectives(
    nets=Nets(
        fuse=lambda theta, a, b: theta * jnp.ones_like(a),
        reconstruct=lambda theta, fused: (fused + theta, fused + theta),
        propose=toy_propose,
    ),
    reduction="sum",
)


def one_pixel(a, b):
    return pairs_of(Batch(jnp.full((1, 1, 1, 1), a), jnp.full((1, 1, 1, 1), b)))


def toy_by_hand(theta_f, theta_r, theta_p, inner, outer, eta):
    """d L_r / d theta_P worked out on paper.

    L_f = p (a - f)^2 + (1 - p) (b - f)^2, so dL_f/df = 2 (f - p a - (1 - p) b) and
    f' = f - 2 eta (f - p a - (1 - p) b), hence df'/dp = 2 eta (a - b).
    R steps on L_r = (a - f - r)^2 + (b - f - r)^2:
    r' = r - eta (4 (f + r) - 2 (a + b)).
    Outer: L_r = (A - f' - r')^2 + (B - f' - r')^2, dL_r/df' = 4 (f' + r') - 2 (A + B).
    """
    a, b = inner
    adapted_f = theta_f - 2 * eta * (theta_f - theta_p * a - (1 - theta_p) * b)
    adapted_r = theta_r - eta * (4 * (theta_f + theta_r) - 2 * (a + b))
    v = 4 * (adapted_f + adapted_r) - 2 * sum(outer)
    return v * 2 * eta * (a - b)


@pytest.mark.parametrize("mode", ["exact", "reverse", "finite_difference"])
def test_quadratic_problem_equals_the_solution_by_hand(x64, mode):
    theta_f, theta_r, theta_p, eta = 0.4, 0.1, 0.3, 0.05
    inner, outer = (0.9, 0.2), (0.6, 0.5)
    params = NetsParams(*(jnp.asarray(x) for x in (theta_f, theta_r, theta_p)))
    # One pixel has a Sobel gradient of zero: the padded window is zero elsewhere.
    result = meta_gradient(
        params,
        one_pixel(*inner),
        one_pixel(*outer),
        objectives=TOY,
        learning_rate=eta,
        mode=mode,
    )
    expected = toy_by_hand(theta_f, theta_r, theta_p, inner, outer, eta)
    np.testing.assert_allclose(result.meta_grads, expected, rtol=1e-9)


def test_first_order_takes_v_before_the_inner_step(x64):
    theta_f, theta_r, theta_p, eta = 0.4, 0.1, 0.3, 0.05
    (a, b), outer = (0.9, 0.2), (0.6, 0.5)
    params = NetsParams(*(jnp.asarray(x) for x in (theta_f, theta_r, theta_p)))
    result = meta_gradient(
        params,
        one_pixel(a, b),
        one_pixel(*outer),
        objectives=TOY,
        learning_rate=eta,
        mode="first_order",
    )
    adapted_r = theta_r - eta * (4 * (theta_f + theta_r) - 2 * (a + b))
    v = 4 * (theta_f + adapted_r) - 2 * sum(outer)
    np.testing.assert_allclose(result.meta_grads, v * 2 * eta * (a - b), rtol=1e-9)


@pytest.mark.parametrize("mode", ["exact", "reverse"])
def test_three_inner_steps_equal_the_unrolled_recursion_by_hand(x64, mode):
    """Derivatives of the recursions for f and r with respect to p, step by step."""
    theta_f, theta_r, theta_p, eta, steps = 0.4, 0.1, 0.3, 0.05, 3
    (a, b), outer = (0.9, 0.2), (0.6, 0.5)
    f, r, df, dr = theta_f, theta_r, 0.0, 0.0
    for _ in range(steps):
        f, r, df, dr = (
            f - 2 * eta * (f - theta_p * a - (1 - theta_p) * b),
            r - eta * (4 * (f + r) - 2 * (a + b)),
            (1 - 2 * eta) * df + 2 * eta * (a - b),
            (1 - 4 * eta) * dr - 4 * eta * df,
        )
    expected = (4 * (f + r) - 2 * sum(outer)) * (df + dr)
    params = NetsParams(*(jnp.asarray(x) for x in (theta_f, theta_r, theta_p)))
    result = meta_gradient(
        params,
        one_pixel(a, b),
        one_pixel(*outer),
        objectives=TOY,
        learning_rate=eta,
        mode=mode,
        inner_steps=steps,
    )
    np.testing.assert_allclose(result.meta_grads, expected, rtol=1e-9)
    np.testing.assert_allclose(jnp.stack(result.adapted), [f, r], rtol=1e-12)


@pytest.fixture(scope="module")
def real_case():
    """The real networks in float64, on two random pairs of 8x8."""
    with jax.enable_x64(True):
        params = jax.tree.map(
            lambda x: x.astype(jnp.float64), init_params(jax.random.key(0))
        )
        images = jax.random.uniform(jax.random.key(1), (4, 1, 8, 8, 1), jnp.float64)
        inner, outer = pairs_of(Batch(*images[:2])), pairs_of(Batch(*images[2:]))
        # Each network and each of its derivatives compiles apart, once for all that
        # needs it; one program for each gradient would take nearly twice as long.
        objectives = Objectives(nets=Nets(*map(jax.jit, Nets())))
        gradients = {
            mode: meta_gradient(
                params,
                inner,
                outer,
                objectives=objectives,
                learning_rate=ETA,
                mode=mode,
            ).meta_grads
            for mode in ("exact", "reverse")
        }
    return params, inner, outer, objectives, gradients


def test_exact_equals_reverse_on_the_real_networks(real_case):
    *_, gradients = real_case
    assert relative_distance(gradients["exact"], gradients["reverse"]) < 1e-9


def test_exact_equals_central_differences_on_the_real_networks(x64, real_case):
    params, inner, outer, objectives, gradients = real_case

    def outer_of_proposal(proposal):
        weights = objectives.propose(proposal, inner)
        adapted = inner_update(
            params, weights, inner, objectives=objectives, learning_rate=ETA
        ).adapted
        return outer_loss(adapted, outer, objectives=objectives)[0]

    generator = np.random.default_rng(2)
    for _ in range(4):
        direction = jax.tree.map(
            lambda x: jnp.asarray(generator.standard_normal(x.shape)), params.proposal
        )
        # L_r has kinks (max, |Sobel|, PReLU) that a wider probe steps over; a narrower
        # one drowns in rounding, since L_r changes by 1e-9 of itself.
        step = 1e-4 / optax.tree.norm(direction)
        ahead, behind = (
            outer_of_proposal(
                jax.tree.map(lambda p, d, s=s: p + s * d, params.proposal, direction)
            )
            for s in (step, -step)
        )
        expected = (ahead - behind) / (2 * step)
        for mode in ("exact", "reverse"):
            ours = flat(gradients[mode]) @ flat(direction)
            np.testing.assert_allclose(ours, expected, rtol=1e-5)


# Smooth and nonlinear in every parameter, yet quick to compile.
def smooth_fuse(theta, a, b):
    return jax.nn.sigmoid(theta[0] * a + theta[1] * jnp.square(b) + theta[2] * a * b)


def smooth_reconstruct(theta, fused):
    return tuple(jax.nn.sigmoid(t[0] * fused + t[1] * jnp.square(fused)) for t in theta)


def smooth_propose(theta, a, b):
    logits = [jnp.concatenate([t[0] * a, t[1] * b * a], axis=-1) for t in theta]
    return WeightMaps(*(jax.nn.softmax(x, axis=-1) for x in logits))


SMOOTH = Objectives(nets=Nets(smooth_fuse, smooth_reconstruct, smooth_propose))


@pytest.fixture
def smooth_gradient(x64):
    keys = jax.random.split(jax.random.key(3), 4)
    params = NetsParams(
        jax.random.normal(keys[0], (3,), jnp.float64),
        jax.random.normal(keys[1], (2, 2), jnp.float64),
        jax.random.normal(keys[2], (2, 2), jnp.float64),
    )
    images = jax.random.uniform(keys[3], (4, 2, 5, 6, 1), jnp.float64)
    inner, outer = pairs_of(Batch(*images[:2])), pairs_of(Batch(*images[2:]))

    def gradient(mode, eta=ETA, **options):
        return meta_gradient(
            params,
            inner,
            outer,
            objectives=SMOOTH,
            learning_rate=eta,
            mode=mode,
            **options,
        ).meta_grads

    return gradient


def test_finite_differences_agree_to_the_square_of_the_probe(smooth_gradient):
    exact, approximate = (smooth_gradient(m) for m in ("exact", "finite_difference"))
    assert 0 < relative_distance(approximate, exact) < 1e-5


def test_first_order_error_vanishes_with_the_inner_step(smooth_gradient):
    errors = [
        relative_distance(
            smooth_gradient("first_order", eta), smooth_gradient("exact", eta)
        )
        for eta in (1e-1, 1e-2)
    ]
    assert 5 < errors[0] / errors[1] < 20
    assert errors[1] < 0.1


def test_all_true_gradients_agree_on_a_smooth_problem(smooth_gradient):
    exact = smooth_gradient("exact")
    assert relative_distance(smooth_gradient("reverse"), exact) < 1e-12
    assert not flat(smooth_gradient("stopped")).any()


@pytest.mark.parametrize("steps", [2, 4])
def test_exact_equals_reverse_through_several_steps(smooth_gradient, steps):
    reverse = smooth_gradient("reverse", inner_steps=steps)
    exact = smooth_gradient("exact", inner_steps=steps)
    assert relative_distance(exact, reverse) < 1e-12
    single = smooth_gradient("exact")
    assert relative_distance(exact, steps * single) > 1e-3


def test_reverse_with_inner_steps_still_tracks_every_step(smooth_gradient):
    one, three = (smooth_gradient("reverse", inner_steps=n) for n in (1, 3))
    # Three small steps move F about three times as far along nearly one direction.
    assert 2 < np.linalg.norm(three) / np.linalg.norm(one) < 4


def test_memory_of_reverse_does_not_grow_with_the_inner_steps():
    params = NetsParams(*(jnp.asarray(0.1) for _ in range(3)))
    picture = jnp.ones((1, 64, 64, 1))
    batch = pairs_of(Batch(picture, picture))

    def temporaries(steps):
        gradient = partial(
            meta_gradient,
            objectives=TOY,
            learning_rate=0.1,
            mode="reverse",
            inner_steps=steps,
        )
        compiled = jax.jit(gradient).lower(params, batch, batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(32) < 2 * temporaries(2)


def test_unknown_mode_lists_the_choices():
    params = NetsParams(*(jnp.asarray(0.1) for _ in range(3)))
    batch = one_pixel(0.1, 0.2)
    with pytest.raises(ValueError, match=r"among exact, .*got 'maml'"):
        meta_gradient(
            params, batch, batch, objectives=TOY, learning_rate=1.0, mode="maml"
        )


def test_more_inner_steps_name_a_mode_that_supports_them():
    params = NetsParams(*(jnp.asarray(0.1) for _ in range(3)))
    batch = one_pixel(0.1, 0.2)
    with pytest.raises(ValueError, match="'first_order', got 2; use mode 'exact'"):
        meta_gradient(
            params,
            batch,
            batch,
            objectives=TOY,
            learning_rate=1.0,
            mode="first_order",
            inner_steps=2,
        )


def test_less_than_one_inner_step_is_refused():
    params = NetsParams(*(jnp.asarray(0.1) for _ in range(3)))
    batch = one_pixel(0.1, 0.2)
    with pytest.raises(ValueError, match="at least 1, got 0; take one or more"):
        meta_gradient(
            params, batch, batch, objectives=TOY, learning_rate=1.0, inner_steps=0
        )
