import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.losses import (
    WeightMaps,
    equal_weights,
    fusion_loss,
    reconstruction_loss,
    squared_errors,
)
from refusion_jax.methods.sobel import sobel_gradient

SHAPE = (2, 4, 5, 1)


def random_images(count, seed=0):
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.random(SHAPE), jnp.float32) for _ in range(count)]


def random_weights(seed=1):
    first = np.random.default_rng(seed).random((2, *SHAPE[:-1], 1)).astype(np.float32)
    return WeightMaps(*(jnp.concatenate([w, 1 - w], axis=-1) for w in first))


@pytest.mark.parametrize("power", [1, 2])
def test_fusion_loss_is_eqs_1_to_3_pixel_by_pixel(power):
    fused, a, b = random_images(3)
    weights = random_weights()
    images = [np.asarray(x)[..., 0] for x in (fused, a, b)]
    edges = [np.asarray(sobel_gradient(x))[..., 0] for x in (fused, a, b)]
    terms = []
    for maps, (f, s_a, s_b) in zip(weights, (images, edges), strict=True):
        total = 0.0
        for index in np.ndindex(f.shape):
            total += float(maps[index][0]) ** power * (s_a[index] - f[index]) ** 2
            total += float(maps[index][1]) ** power * (s_b[index] - f[index]) ** 2
        terms.append(total / f.size)
    loss = fusion_loss(fused, a, b, weights, alpha=0.3, weight_power=power)
    np.testing.assert_allclose(loss.intensity, terms[0], rtol=1e-5)
    np.testing.assert_allclose(loss.gradient, terms[1], rtol=1e-5)
    np.testing.assert_allclose(loss.total, terms[0] + 0.3 * terms[1], rtol=1e-5)


@pytest.mark.parametrize(("reduction", "combine"), [("max", max), ("sum", sum)])
def test_reconstruction_loss_is_eqs_4_to_6_pixel_by_pixel(reduction, combine):
    recon_a, recon_b, a, b = random_images(4)
    terms = []
    for transform in (lambda x: x, sobel_gradient):
        ra, rb, sa, sb = (np.asarray(transform(x)) for x in (recon_a, recon_b, a, b))
        errors = [
            combine([(sa[i] - ra[i]) ** 2, (sb[i] - rb[i]) ** 2])
            for i in np.ndindex(sa.shape)
        ]
        terms.append(np.mean(errors))
    loss = reconstruction_loss(recon_a, recon_b, a, b, alpha=0.5, reduction=reduction)
    np.testing.assert_allclose(loss.intensity, terms[0], rtol=1e-5)
    np.testing.assert_allclose(loss.gradient, terms[1], rtol=1e-5)
    np.testing.assert_allclose(loss.total, terms[0] + 0.5 * terms[1], rtol=1e-5)


def test_fusion_loss_of_a_2x2_picture_by_hand():
    fused = jnp.zeros((1, 2, 2, 1))
    a = jnp.zeros((1, 2, 2, 1)).at[0, 0, 0, 0].set(1.0)
    b = jnp.full((1, 2, 2, 1), 0.5)
    # w = 1/2: (1 * 1/2 + 4 * 0.25 * 1/2) / 4.
    intensity = (0.5 + 0.5) / 4
    # |grad a| around the one: 0 there, 2 beside it, 2 below it, 1 + 1 diagonally.
    # |grad b| with zero padding: each pixel sees 0.5 * 3 in x and in y, so 3.
    gradient = (0.5 * (4 + 4 + 4) + 0.5 * 4 * 9) / 4
    loss = fusion_loss(fused, a, b, equal_weights(a))
    np.testing.assert_allclose(loss.intensity, intensity, rtol=1e-6)
    np.testing.assert_allclose(loss.gradient, gradient, rtol=1e-6)


def test_reconstruction_loss_is_zero_for_perfect_reconstructions_only():
    a, b = random_images(2)
    assert reconstruction_loss(a, b, a, b).total == 0
    assert reconstruction_loss(a, a, a, b).total > 0


def test_exchanging_sources_and_weights_together_changes_nothing():
    fused, a, b = random_images(3)
    weights = random_weights()
    exchanged = WeightMaps(*(maps[..., ::-1] for maps in weights))
    np.testing.assert_allclose(
        fusion_loss(fused, a, b, weights).total,
        fusion_loss(fused, b, a, exchanged).total,
        rtol=1e-6,
    )


def test_doubling_the_weights_scales_the_loss_by_two_to_the_power():
    fused, a, b = random_images(3)
    weights = random_weights()
    doubled = WeightMaps(*(2 * maps for maps in weights))
    for power in (1, 2):
        once = fusion_loss(fused, a, b, weights, weight_power=power).total
        twice = fusion_loss(fused, a, b, doubled, weight_power=power).total
        np.testing.assert_allclose(twice, 2**power * once, rtol=1e-6)


def test_squared_weights_have_the_interior_optimum_of_the_specification():
    """For fixed errors d_a^2, d_b^2 the best w_a is d_b^2 / (d_a^2 + d_b^2)."""
    fused, a, b = random_images(3)
    errors = squared_errors(fused, fused, a, b).intensity
    best = errors[..., ::-1] / errors.sum(axis=-1, keepdims=True)

    def loss(shift):
        maps = jnp.stack([best[..., 0] + shift, best[..., 1] - shift], axis=-1)
        weights = WeightMaps(maps, jnp.zeros_like(maps))
        return fusion_loss(fused, a, b, weights, weight_power=2).intensity

    np.testing.assert_allclose(jax.grad(loss)(0.0), 0, atol=1e-6)
    assert loss(0.0) < loss(0.05) and loss(0.0) < loss(-0.05)


def test_unknown_reduction_lists_the_choices():
    a, b = random_images(2)
    with pytest.raises(ValueError, match=r"among max, sum, got 'mean'"):
        reconstruction_loss(a, b, a, b, reduction="mean")


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_first_and_second_derivatives_are_finite_on_constant_images(value):
    constant = jnp.full((1, 4, 4, 1), value)

    def both(image):
        weights = equal_weights(constant)
        return (
            fusion_loss(image, constant, constant, weights).total
            + reconstruction_loss(image, image, constant, constant).total
        )

    tangent = jnp.ones_like(constant)
    first, second = jax.jvp(jax.grad(both), (constant,), (tangent,))
    assert jnp.isfinite(first).all() and jnp.isfinite(second).all()
