import numpy as np
import pytest

from refusion_jax import metrics

RNG = np.random.default_rng(0)
TRUTH, FUSED = RNG.integers(0, 256, (2, 24, 31)).astype(np.uint8)


def test_psnr_is_that_of_the_formula():
    errors = (TRUTH.astype(float) - FUSED) ** 2
    expected = 10 * np.log10(255**2 / errors.mean())
    assert metrics.compute_truth(TRUTH, FUSED)["psnr_truth"] == pytest.approx(expected)


def test_ssim_is_that_of_scikit_image():
    similarity = pytest.importorskip(
        "skimage.metrics", reason="scikit-image is in the extra `demo`"
    ).structural_similarity
    _, each = similarity(
        TRUTH, FUSED, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    expected = each[5:-5, 5:-5].mean()
    score = metrics.compute_truth(TRUTH, FUSED)["ssim_truth"]
    assert score == pytest.approx(expected, rel=1e-6)


def test_the_truth_itself_has_no_finite_psnr_and_an_ssim_of_1():
    scores = metrics.compute_truth(TRUTH, TRUTH)
    assert np.isnan(scores["psnr_truth"])
    assert scores["ssim_truth"] == pytest.approx(1)


def test_truth_metrics_are_no_metrics_of_sources():
    assert not set(metrics.TRUTH_METRICS) & set(metrics.METRICS)
    assert list(metrics.ALL_METRICS) == [
        *metrics.METRICS,
        *metrics.MEFB_METRICS,
        *metrics.TRUTH_METRICS,
    ]


def test_sizes_must_fit():
    with pytest.raises(
        ValueError, match=r"got truth \(24, 31\) and fused \(23, 31\); crop or resize"
    ):
        metrics.compute_truth(TRUTH, FUSED[1:])
