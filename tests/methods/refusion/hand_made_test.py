import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from refusion_jax.methods.refusion.hand_made import (
    BLUR,
    RULES,
    SMALLEST_DETAIL,
    edges,
    log_detail,
    weigh,
)

RNG = np.random.default_rng(0)
A, B = jnp.asarray(RNG.random((2, 2, 40, 36, 1), np.float32))


@pytest.mark.parametrize("name", RULES)
def test_weights_sum_to_one_and_exchange_with_the_sources(name):
    weights, swapped = (
        weigh(None, *pair, rule=RULES[name]) for pair in ((A, B), (B, A))
    )
    for maps, others in zip(weights, swapped, strict=True):
        np.testing.assert_allclose(maps.sum(axis=-1), 1, rtol=1e-6)
        np.testing.assert_allclose(maps, others[..., ::-1], atol=1e-6)


def test_the_brighter_source_is_preferred_by_the_formula():
    weights = weigh(None, A, B, rule=RULES["brighter"])
    expected = 1 / (1 + np.exp(-20 * np.asarray(A - B, np.float64)))
    np.testing.assert_allclose(weights.intensity[..., :1], expected, atol=1e-5)


def test_a_constant_picture_has_no_edges_not_even_at_its_border():
    assert not edges(jnp.full((1, 6, 5, 1), 0.7)).any()


def test_detail_is_the_logarithm_of_the_blurred_gradient():
    """Against SciPy's Gaussian filter."""
    gradient = np.asarray(edges(A))[0, ..., 0]
    blurred = gaussian_filter(gradient, BLUR, mode="nearest", truncate=3.0)
    expected = np.log(blurred + SMALLEST_DETAIL)
    np.testing.assert_allclose(log_detail(A)[0, ..., 0], expected, atol=1e-4)


def test_the_sharper_source_is_preferred_where_it_is_sharp():
    """Each source is in focus in one half."""
    scene = RNG.random((1, 48, 64, 1)).astype(np.float32)
    blurred = gaussian_filter(scene, (0, 2, 2, 0))
    left = np.arange(64)[:, None] < 32
    pair = np.where(left, scene, blurred), np.where(left, blurred, scene)
    for maps in weigh(None, *map(jnp.asarray, pair), rule=RULES["sharper"]):
        assert maps[0, :, 10:22, 0].min() > 0.9
        assert maps[0, :, 42:54, 0].max() < 0.1
