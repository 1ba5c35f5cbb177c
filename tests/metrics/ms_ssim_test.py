"""MS-SSIM against its definition, window after window, on odd sides."""

import numpy as np
import pytest

from refusion_jax import metrics

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def local(x):
    """Means under a Gaussian window of 11 pixels, sigma 1.5, where it fits."""
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    patches = np.lib.stride_tricks.sliding_window_view(x, window.shape)
    return np.einsum("yxij,ij->yx", patches, window)


def halved(x):
    """Means of 2 x 2 pixels; odd sides have a zero before them, and lose nothing."""
    x = np.pad(x, [(side % 2, 0) for side in x.shape])
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def by_definition(x, y):
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    product = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x, y = halved(x), halved(y)
        mean_x, mean_y = local(x), local(y)
        variances = local(x * x) - mean_x**2 + local(y * y) - mean_y**2
        covariance = local(x * y) - mean_x * mean_y
        similarity = (2 * covariance + second) / (variances + second)
        if scale == len(WEIGHTS) - 1:
            luminance = 2 * mean_x * mean_y + first
            similarity *= luminance / (mean_x**2 + mean_y**2 + first)
        product *= similarity.mean() ** weight
    return product


def test_it_is_the_product_over_five_scales_summed_over_the_sources():
    rng = np.random.default_rng(0)
    scene = rng.integers(60, 196, (163, 177))
    a, b, fused = (
        np.clip(scene + rng.integers(-spread, spread, scene.shape), 0, 255).astype(
            np.uint8
        )
        for spread in (40, 60, 20)
    )
    expected = sum(by_definition(x.astype(float), fused.astype(float)) for x in (a, b))
    score = metrics.compute(a, b, fused, ["ms_ssim"])["ms_ssim"]
    assert score == pytest.approx(expected, rel=1e-6)
    assert 1 < expected < 1.99


def test_a_picture_is_wholly_like_itself():
    picture = np.random.default_rng(1).integers(0, 256, (163, 177), np.uint8)
    score = metrics.compute(picture, picture, picture, ["ms_ssim"])["ms_ssim"]
    assert score == pytest.approx(2, rel=1e-9)
