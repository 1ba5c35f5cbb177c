"""Bounds, symmetries and invariances that the definitions imply."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax import metrics
from refusion_jax.metrics import METRICS, PAPER_COLUMNS

SIDE = 64
# What depends on the order of the sources: VIFF takes source b where gains are equal.
SYMMETRIC = sorted(set(METRICS) - {"ms_ssim"})
RANGES = {
    "en": (0, 8),
    "sd": (0, 127.5),
    "sf": (0, 361),
    "ag": (0, 255),
    "scd": (-2, 2),
    "cc": (-1, 1),
    "mi": (0, 16),
    "nmi": (0, 2),
    "mse": (0, 65025),
    "psnr": (0, np.inf),
    "ssim_refusion": (-1, 1),
    "ssim_wang": (-2, 2),
    "vifp_sum": (0, np.inf),
    "viff": (0, np.inf),
    "qabf": (0, 1),
    "nabf": (0, 1),
    "qcb": (0, 1),
    "qncie": (0.8, 1),
    "qy": (-1, 1),
    "fmi": (-0.1, 1),
}


def picture(seed):
    """Smooth noise with all levels from 0 to 255 in reach."""
    noise = np.random.default_rng(seed).normal(size=(SIDE + 4, SIDE + 4))
    smooth = sum(noise[i : i + SIDE, j : j + SIDE] for i in range(5) for j in range(5))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.round(255 * smooth).astype(np.uint8)


A, B, FUSED = picture(1), picture(2), np.maximum(picture(1), picture(2))
CONSTANT = np.full((SIDE, SIDE), 7, np.uint8)


@pytest.mark.parametrize("fused", [FUSED, A // 2 + B // 2, 255 - A, picture(3)])
def test_metrics_stay_in_their_ranges(fused):
    scores = metrics.compute(A, B, fused)
    for key, (low, high) in RANGES.items():
        assert low - 1e-12 <= scores[key] <= high + 1e-12, key


def test_sources_can_be_exchanged():
    scores, exchanged = metrics.compute(A, B, FUSED), metrics.compute(B, A, FUSED)
    for key in SYMMETRIC:
        # FUSED equals a source at every pixel: rounding decides ties of the gain.
        tolerance = 1e-5 if key == "viff" else 1e-12
        assert scores[key] == pytest.approx(exchanged[key], rel=tolerance), key


def test_mirrored_pictures_score_the_same():
    """Up to the metrics whose windows or derivatives have a side."""
    scores = metrics.compute(A, B, FUSED)
    mirrored = metrics.compute(*(x[::-1, ::-1] for x in (A, B, FUSED)))
    # VIF keeps every second pixel from the left, FMI counts places in order.
    for key in sorted(set(SYMMETRIC) - {"vifp_sum", "viff", "fmi", "qabf"}):
        assert scores[key] == pytest.approx(mirrored[key], rel=1e-9), key


def test_a_perfect_fusion_of_equal_sources_scores_perfectly():
    scores = metrics.compute(A, A, A)
    perfect = {
        "cc": 1,
        "nmi": 2,
        "mse": 0,
        "ssim_refusion": 1,
        "ssim_wang": 2,
        "vifp_sum": 2,
        "viff": 1,
        "qcb": 1,
        "qncie": 1,
        "qy": 1,
        "fmi": 1,
        "nabf": 0,
    }
    # The constants 1e-10 of VIF and the entropy of 8 bits leave these short of it.
    for key, value in perfect.items():
        if key == "qncie":
            continue
        assert scores[key] == pytest.approx(value, abs=1e-6), key
    assert scores["mi"] == pytest.approx(2 * scores["en"])
    share = scores["en"] / 8
    eigenvalues = np.array([1 + 2 * share, 1 - share, 1 - share]) / 3
    expected = 1 + np.sum(eigenvalues * np.log(eigenvalues)) / np.log(256)
    assert scores["qncie"] == pytest.approx(expected)


def test_what_is_undefined_is_nan():
    same = metrics.compute(A, B, A)
    assert np.isnan(same["scd"])  # F - A is constant
    assert np.isfinite([same[key] for key in set(RANGES) - {"scd"}]).all()
    assert np.isnan(metrics.compute(A, A, A, ["psnr"])["psnr"])  # infinite


def test_constant_pictures_score_what_is_defined():
    of_constant = metrics.compute(A, B, CONSTANT)
    assert of_constant["en"] == of_constant["sd"] == of_constant["sf"] == 0
    assert of_constant["ag"] == 0
    assert of_constant["mi"] == pytest.approx(0, abs=1e-12)
    assert np.isnan([of_constant[key] for key in ("cc", "qcb")]).all()
    all_constant = metrics.compute(CONSTANT, CONSTANT, CONSTANT)
    undefined = ("scd", "cc", "nmi", "vifp_sum", "qcb", "qy", "psnr")
    assert np.isnan([all_constant[key] for key in undefined]).all()
    for key in ("fmi", "ssim_refusion"):
        assert all_constant[key] == pytest.approx(1)
    # Zeros beyond the border make an edge of the frame of all but black pictures.
    assert all_constant["qabf"] > 0
    assert np.isnan(metrics.compute(*[0 * CONSTANT] * 3, ["qabf"])["qabf"])


def test_brightness_does_not_change_what_sees_contrast():
    """x -> x + 10 in all three: the same differences, the same counts.

    (Q_CB would see the same, but its stretch rounds x / 255 to another side.)
    """
    scores = metrics.compute(*(x // 2 for x in (A, B, FUSED)))
    brighter = metrics.compute(*(x // 2 + 10 for x in (A, B, FUSED)))
    keys = "en sd sf ag scd cc mi nmi mse psnr vifp_sum viff nabf qncie fmi"
    for key in keys.split():
        assert scores[key] == pytest.approx(brighter[key], rel=1e-6), key


def test_scores_agree_with_numpy_scipy_and_scikit_image():
    path = Path(__file__).parents[2] / "experiments/peers/metrics.py"
    spec = importlib.util.spec_from_file_location("metric_peers", path)
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    expected = peers.compute(*(x.astype(np.float64) for x in (A, B, FUSED)))
    scores = metrics.compute(A, B, FUSED)
    assert set(expected) == set(PAPER_COLUMNS["ivif"] + PAPER_COLUMNS["mfif"])
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, rel=1e-9), key


def test_metrics_map_over_a_batch(x64):
    """What loops, transforms, scatters and solves: vmap equals one by one."""
    keys = ("sf", "scd", "qncie", "ssim_refusion", "qcb")
    crops = [
        jnp.asarray(np.stack([x[:24, :32], x[20:44, 20:52]]), float)
        for x in (A, B, FUSED)
    ]

    def scores(a, b, fused):
        return jnp.stack(
            [
                METRICS[key].function(*([fused] if alone else [a, b, fused]))
                for key in keys
                for alone in [METRICS[key].of_fused_alone]
            ]
        )

    batched = jax.jit(jax.vmap(scores))(*crops)
    one = jax.jit(scores)
    for i in range(2):
        np.testing.assert_allclose(batched[i], one(*(x[i] for x in crops)), rtol=1e-9)


def test_float32_is_enough_where_the_docstrings_say_so():
    a, b, fused = (jnp.asarray(x, jnp.float32) for x in (A, B, FUSED))
    exact = metrics.compute(A, B, FUSED)
    for key in ("en", "sd", "sf", "ag", "scd", "cc", "mi", "mse", "qabf"):
        metric = METRICS[key]
        images = (fused,) if metric.of_fused_alone else (a, b, fused)
        score = jax.jit(metric.function)(*images)
        assert score.dtype == jnp.float32
        assert score == pytest.approx(exact[key], rel=2e-5), key


def test_unsigned_levels_do_not_wrap():
    """Functions called by themselves on uint8 take differences in floating point."""
    a, b, fused = map(jnp.asarray, (A, B, FUSED))
    expected = np.mean((A.astype(float) - FUSED) ** 2 + (B.astype(float) - FUSED) ** 2)
    assert METRICS["mse"].function(a, b, fused) == pytest.approx(expected / 2, rel=1e-6)
