import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.array_types import Batch
from refusion_jax.methods.refusion.diagnosis import (
    correlation,
    observe_fused,
    observe_weights,
    verdict,
)
from refusion_jax.methods.refusion.hand_made import RULES, weigh
from refusion_jax.methods.refusion.losses import WeightMaps, equal_weights
from refusion_jax.methods.refusion.state import pairs_of

A, B = jax.random.uniform(jax.random.key(0), (2, 2, 24, 20, 1))
PAIRS = pairs_of(Batch(A, B))


def constant(share):
    pair = jnp.broadcast_to(jnp.asarray([share, 1 - share]), (2, 24, 20, 2))
    return WeightMaps(pair, pair)


def seen(weights, fused):
    scalars = {**observe_weights(weights, PAIRS), **observe_fused(fused, PAIRS)}
    return {name: float(value) for name, value in scalars.items()}


BY_RULE = weigh(None, A, B, rule=RULES["brighter"])
BRIGHTER = jnp.maximum(A, B)


def test_weights_by_the_rule_correlate_with_what_it_compares():
    scalars = seen(BY_RULE, BRIGHTER)
    assert scalars["intensity_weights_correlation"] > 0.8
    assert scalars["gradient_weights_correlation"] > 0.8
    weight = np.asarray(BY_RULE.intensity[..., 0])
    assert scalars["intensity_weights_mean"] == pytest.approx(weight.mean(), rel=1e-5)
    assert scalars["intensity_weights_spread"] == pytest.approx(weight.std(), rel=1e-4)
    share = (weight > 0.95).mean()
    assert scalars["intensity_weights_at_one"] == pytest.approx(share, abs=1e-6)
    assert verdict(scalars) == ""


def test_correlation_is_that_of_numpy():
    expected = np.corrcoef(np.ravel(A), np.ravel(A + 0.3 * B))[0, 1]
    np.testing.assert_allclose(correlation(A, A + 0.3 * B), expected, rtol=1e-4)
    for level in (0.0, 0.1, 0.3, 1.0):  # of which some leave rounding less their mean
        constant = jnp.full_like(A, level)
        assert correlation(A, constant) == correlation(constant, constant) == 0


@pytest.mark.parametrize(
    ("weights", "fused", "sentence"),
    [
        (constant(0.999), A, "P has collapsed: w prefers source a at 100% of all"),
        (constant(0.001), BRIGHTER, "P has collapsed: w prefers source b at 100%"),
        (
            BY_RULE._replace(gradient=constant(1.0).gradient),
            BRIGHTER,
            "P has collapsed: v prefers source a",
        ),
        (equal_weights(A), BRIGHTER, "P is indifferent: w is nearly the same"),
        (BY_RULE, B + 0.001, "F copies source b: the fused pictures correlate"),
        (BY_RULE, (A + B) / 2, "F averages: the fused pictures are the mean"),
    ],
)
def test_what_went_wrong_is_said_in_a_sentence(weights, fused, sentence):
    assert verdict(seen(weights, fused)).startswith(sentence)


def test_nothing_is_said_of_runs_without_these_scalars():
    assert verdict({"reconstruction_loss": 0.2}) == ""
