"""The front door: what it refuses, and what it leaves as it was."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax import metrics
from refusion_jax.metrics import METRICS, PAPER_COLUMNS

KEYS = (
    "en sd sf ag scd cc mi nmi mse psnr ssim_refusion ssim_wang ms_ssim vifp_sum viff "
    "qabf nabf qcb qncie qy fmi"
).split()
RAMP = np.add.outer(np.arange(12), 3 * np.arange(16)).astype(np.uint8)
CHEAP = ("en", "sd", "mse")


def test_every_key_has_a_record():
    assert set(METRICS) == set(KEYS)
    lower_is_better = {
        k for k, metric in METRICS.items() if not metric.higher_is_better
    }
    assert lower_is_better == {"mse", "nabf"}
    assert len({metric.title for metric in METRICS.values()}) == len(KEYS)


def test_paper_columns_are_those_of_its_tables():
    detail = ("en", "sd", "sf", "ag", "scd", "ssim_refusion")
    visual = ("en", "sd", "sf", "viff", "qcb", "qncie")
    assert PAPER_COLUMNS == {
        "ivif": detail,
        "mif": detail,
        "mfif": visual,
        "meif": visual,
    }


def test_scores_come_in_the_order_of_the_keys():
    scores = metrics.compute(RAMP, RAMP, RAMP, ["mse", "en"])
    assert list(scores) == ["mse", "en"]
    assert all(type(value) is float for value in scores.values())


def test_integers_and_floats_of_any_precision_score_the_same():
    levels = [RAMP, RAMP // 2, RAMP // 2 + 5]
    expected = metrics.compute(*levels, CHEAP)
    for dtype in (np.int32, np.float16, np.float32, np.float64):
        assert metrics.compute(*(x.astype(dtype) for x in levels), CHEAP) == expected


def test_scores_are_double_and_the_callers_precision_stays():
    assert not jax.config.jax_enable_x64
    fused = RAMP + 1e-9 * np.arange(16)  # lost in float32
    assert metrics.compute(RAMP, RAMP, fused, ["mse"])["mse"] > 0
    assert not jax.config.jax_enable_x64
    assert jnp.asarray(0.5).dtype == jnp.float32


def test_small_pictures_have_no_value_for_metrics_of_large_ones():
    scores = metrics.compute(RAMP, RAMP // 2, RAMP, ["sd", "ms_ssim", "viff"])
    assert scores["sd"] > 0
    assert np.isnan(scores["ms_ssim"])
    assert np.isnan(scores["viff"])
    with pytest.raises(ValueError, match="expected sides of 41 pixels or more"):
        METRICS["viff"].function(*(jnp.asarray(RAMP),) * 3)
    assert np.isnan(metrics.compute([[1]], [[2]], [[3]], ["sf"])["sf"])


def test_functions_refuse_pictures_of_two_sizes():
    small = jnp.asarray(RAMP[:-1])
    with pytest.raises(ValueError, match="expected pictures of one size"):
        # Without the annotations that tests check: users have no such check.
        unchecked = inspect.unwrap(METRICS["mse"].function)
        unchecked(jnp.asarray(RAMP), jnp.asarray(RAMP), small)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fused": RAMP / 255}, r"expected fused in 0..255, got floating point in 0"),
        ({"source_b": RAMP * 1.0 - 1}, r"expected source_b in 0\.\.255, got -1\.\."),
        ({"fused": RAMP + 300.0}, r"got 300\.\."),
        ({"source_a": np.stack([RAMP] * 3, -1)}, r"grey picture.*\(12, 16, 3\)"),
        ({"fused": RAMP[:, 1:]}, r"source_a \(12, 16\) and fused \(12, 15\)"),
        ({"source_b": RAMP[1:]}, r"source_a \(12, 16\) and source_b \(11, 16\)"),
        ({"fused": np.where(RAMP > 9, np.nan, RAMP)}, "finite grey levels in fused"),
        ({"fused": RAMP > 9}, "expected fused to hold numbers.*bool"),
        ({"source_a": np.zeros((0, 4))}, "expected source_a to hold numbers"),
        (
            {"keys": ["ssim"]},
            "metrics among en, sd, .*fmi, .*got 'ssim'; did you mean ssim_refusion",
        ),
    ],
)
def test_bad_input_gets_one_sentence(change, message):
    arguments = {"source_a": RAMP, "source_b": RAMP, "fused": RAMP, "keys": CHEAP}
    with pytest.raises(ValueError, match=message):
        metrics.compute(**(arguments | change))


def test_black_pictures_in_floating_point_are_levels():
    black = np.zeros((12, 16))
    assert metrics.compute(black, black, black, CHEAP) == dict.fromkeys(CHEAP, 0.0)
