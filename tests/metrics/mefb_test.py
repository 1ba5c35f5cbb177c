"""MEFB's metrics against reference codes, and against loops written from formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from refusion_jax import metrics
from refusion_jax.metrics import MEFB_COLUMNS, MEFB_METRICS, METRICS

# Of the triples of `golden_test`, by MEFB and by the authors' code of MEF-SSIM, both in
# Octave 7.3 (Tang's toolkit includes the latter).
CE = (0.65242470793825, 2.82654209096983, 2.37466482068046, 0.0536166618173495)
EI = (66.5990162052601, 315.513590630944, 44.5393384914246, 408.801368035158)
MEF_SSIM = (0.853225929655452, 0.805094221784213, 0.805200484377521)
FAST = ("ce", "te", "ei", "qc", "qw", "qw_edges", "qcv", "mef_ssim")


def noise(seed, shape=(45, 51), blur=5):
    """Smooth noise of whole levels with odd sides."""
    height, width = shape
    plain = np.random.default_rng(seed).normal(size=(height + blur, width + blur))
    smooth = sum(
        plain[i : i + height, j : j + width] for i in range(blur) for j in range(blur)
    )
    return np.round(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


A, B = noise(1), noise(2)
FUSED = (A // 2 + B // 2 + noise(3) // 8).clip(0, 255).astype(np.uint8)
TRIPLE = [x.astype(np.float64) for x in (A, B, FUSED)]


def gaussian(side, sigma=1.5):
    place = np.arange(side) - side // 2
    window = np.exp(-(place[:, None] ** 2 + place**2) / (2 * sigma**2))
    return window / window.sum()


def moments(x, y, window, mode="valid"):
    """Means, variances and covariance by centred sums, one window after the other."""
    if mode == "same":
        x, y = (np.pad(z, len(window) // 2) for z in (x, y))
    patches = [
        np.lib.stride_tricks.sliding_window_view(z, window.shape) for z in (x, y)
    ]
    mean_x, mean_y = ((z * window).sum((2, 3)) for z in patches)
    from_x, from_y = (
        z - mean[..., None, None]
        for z, mean in zip(patches, (mean_x, mean_y), strict=True)
    )
    products = (from_x**2, from_y**2, from_x * from_y)
    return mean_x, mean_y, *((z * window).sum((2, 3)) for z in products)


def ssim(x, y, window, c1, c2):
    mean_x, mean_y, var_x, var_y, covariance = moments(x, y, window)
    return ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )


def tsallis(x, y):
    pairs, counts = np.unique(np.stack([x.ravel(), y.ravel()]), axis=1, return_counts=1)
    total = 0
    for (level_x, level_y), count in zip(pairs.T, counts, strict=True):
        expected = (x == level_x).mean() * (y == level_y).mean()
        total += (count / x.size) ** 1.85 / expected**0.85
    return (1 - total) / (1 - 1.85)


def q_c(a, b, fused, *, is_codes):
    window = gaussian(7)
    of_a, of_b = (moments(x, fused, window)[4] for x in (a, b))
    like_a, like_b = (ssim(x, fused, window, 2e-16, 2e-16) for x in (a, b))
    share = of_a / (of_a + of_b)
    if is_codes:
        quality = share * like_a + (1 - share) * like_b
        return np.where(share < 0, 0, np.where(share > 1, 1, quality)).mean()
    share = share.clip(0, 1)
    return (share * like_a + (1 - share) * like_b).mean()


def q_w(a, b, fused):
    window, c1, c2 = gaussian(11), 2.55**2, 7.65**2
    _, _, var_a, var_b, _ = moments(a, b, window)
    like_a, like_b = (ssim(x, fused, window, c1, c2) for x in (a, b))
    share = var_a / (var_a + var_b)
    weight = np.maximum(var_a, var_b)
    return np.average(share * like_a + (1 - share) * like_b, weights=weight)


def prewitt(x):
    across = correlate2d(x, [[1, 0, -1]] * 3, mode="same")
    return np.hypot(across, correlate2d(x, np.transpose([[1, 0, -1]] * 3), mode="same"))


def stretch(x):
    return np.floor(255 * (x - x.min()) / np.ptp(x) + 0.5)


def q_cv(a, b, fused):
    a, b, fused = map(stretch, (a, b, fused))
    height, width = a.shape
    rows, columns = (np.fft.fftfreq(n) * n for n in a.shape)
    radius = np.hypot(rows[:, None], columns) / 4
    eye = 2.6 * (0.0192 + 0.144 * radius) * np.exp(-((0.144 * radius) ** 1.1))
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    top = bottom = 0
    for x in (a, b):
        edges = np.hypot(
            *(correlate2d(x, taps, mode="same") for taps in (sobel, sobel.T))
        )
        seen = np.fft.ifft2(np.fft.fft2(x - fused) * eye).real
        for i in range(0, height, 16):
            for j in range(0, width, 16):
                block = np.s_[i : i + 16, j : j + 16]
                saliency = (edges[block] ** 5).sum()
                top += saliency * (seen[block] ** 2).sum() / 256
                bottom += saliency
    return top / bottom


def kovesi(image, mixed):
    """Phase congruency and its moments, with the noise from the filters' transforms."""
    rows, columns = image.shape
    spans = [np.arange(n) - n // 2 for n in image.shape]
    y, x = np.meshgrid(*(s / (len(s) - len(s) % 2) for s in spans), indexing="ij")
    radius = np.hypot(x, y)
    radius[rows // 2, columns // 2] = 1
    angle = np.fft.ifftshift(np.arctan2(-y, x))
    radius = np.fft.ifftshift(radius)
    v, u = np.meshgrid(*(s / len(s) for s in spans), indexing="ij")
    low = np.fft.fftshift(1 / (1 + (np.hypot(u, v) / 0.45) ** 30))
    spectrum = np.fft.fft2(image)
    energies, totals, covariance = 0, 0, np.zeros((3, rows, columns))
    for o in range(6):
        turn = o * np.pi / 6
        away = np.abs((angle - turn + np.pi) % (2 * np.pi) - np.pi)
        spread = np.exp(-(away**2) / (2 * (np.pi / 7.2) ** 2))
        filters, responses = [], []
        for s in range(4):
            band = np.log(radius * 3 * 2.1**s) ** 2 / (2 * np.log(0.55) ** 2)
            one = np.exp(-band) * low
            one[0, 0] = 0
            filters.append(one * spread)
            responses.append(np.fft.ifft2(spectrum * filters[-1]))
        total = sum(responses)
        mean = total / (abs(total) + 1e-4)
        energy = 0
        for z in responses:
            dot = z.real * mean.real + z.imag * mean.imag
            energy = energy + dot - abs(z.real * mean.imag - z.imag * mean.real)
        impulses = [np.fft.ifft2(f).real * np.sqrt(image.size) for f in filters]
        power = np.median(abs(responses[0]) ** 2) / np.log(2) / (filters[0] ** 2).sum()
        squares = sum((g**2).sum() for g in impulses)
        products = sum(
            (impulses[i] * impulses[j]).sum() for j in range(4) for i in range(j)
        )
        tau = np.sqrt((2 * power * squares + 4 * power * products) / 2)
        noise_level = tau * np.sqrt(np.pi / 2) + 2 * np.sqrt((2 - np.pi / 2) * tau**2)
        energy = np.maximum(energy - noise_level / 1.7, 0)
        amplitudes = np.abs(responses)
        width = amplitudes.sum(0) / (amplitudes.max(0) + 1e-4) / 4
        energy = energy / (1 + np.exp(10 * (0.5 - width)))
        energies, totals = energies + energy, totals + amplitudes.sum(0)
        in_x, in_y = (energy / amplitudes.sum(0) * f(turn) for f in (np.cos, np.sin))
        covariance += np.stack([in_x**2, in_y**2, in_x * in_y])
    xx, yy, xy = covariance / 3
    root = np.sqrt((mixed * xy) ** 2 + (xx - yy) ** 2) + 1e-4
    return energies / (totals + 1e-4), (xx + yy + root) / 2, (xx + yy - root) / 2


def q_p(a, b, fused, mixed):
    of_a, of_b, of_f = (kovesi(x, mixed) for x in (a, b, fused))
    of_m = [np.where(of_a[0] > of_b[0], x, y) for x, y in zip(of_a, of_b, strict=True)]
    product = 1
    for k in range(3):
        best = []
        for maps in (of_a, of_b, of_m):
            mask = maps[0] > 0.1
            feature = np.where(mask, maps[k], 0)
            _, _, var_x, var_f, covariance = moments(
                feature, of_f[k], gaussian(11), "same"
            )
            root = np.sqrt(abs(var_x * var_f))
            best.append(np.where(mask, (covariance + 1e-4) / (root + 1e-4), 0))
        product *= np.max(best, axis=0).sum() / (of_m[0] > 0.1).sum()
    return product


def test_reference_codes_agree():
    from metrics.golden_test import synthetic  # the same triples

    for number in (1, 3):  # the first has odd sides
        triple = synthetic(number)
        keys = ("ce", "ei", "mef_ssim") if number < 3 else ("ce", "ei")
        scores = metrics.compute(*triple, keys)
        assert scores["ce"] == pytest.approx(CE[number], rel=1e-12)
        assert scores["ei"] == pytest.approx(EI[number], rel=1e-12)
        if "mef_ssim" in scores:
            assert scores["mef_ssim"] == pytest.approx(MEF_SSIM[number], rel=1e-12)


def test_formulas_agree():
    scores = metrics.compute(A, B, FUSED, FAST)
    a, b, fused = TRIPLE
    expected = {
        "te": tsallis(a, fused) + tsallis(b, fused),
        "qc": q_c(a, b, fused, is_codes=False),
        "qw": q_w(a, b, fused),
        "qw_edges": q_w(*map(prewitt, TRIPLE)),
        "qcv": q_cv(a, b, fused),
    }
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, rel=1e-9), key


def test_phase_congruency_agrees_with_its_formula(x64):
    images = [jnp.asarray(x) for x in TRIPLE]
    value = metrics.compute(A, B, FUSED, ["qp"])["qp"]
    assert value == pytest.approx(q_p(*TRIPLE, mixed=2), rel=1e-6)
    codes = float(jax.jit(metrics.qp_mefb)(*images))
    assert codes == pytest.approx(q_p(*TRIPLE, mixed=0.5), rel=1e-6)
    assert value != pytest.approx(codes, rel=1e-3)


def test_codes_that_depart_are_variants(x64):
    images = [jnp.asarray(x) for x in TRIPLE]
    expected = q_c(*TRIPLE, is_codes=True)
    assert jax.jit(metrics.qc_mefb)(*images) == pytest.approx(expected, rel=1e-9)
    # Of two pixels the exchanged marginals can be written out: 2 p^q / (p p)^(q - 1),
    # where p = 1/2 and both levels occur in both pictures.
    two = jnp.array([[0.0, 255.0]])
    expected = 2 * (1 - 2 * 0.5**1.85 / 0.25**0.85) / (1 - 1.85)
    te_mefb = jax.jit(metrics.te_mefb)
    assert te_mefb(two, two, two) == pytest.approx(expected)
    assert jnp.isnan(te_mefb(two, two, 0 * two + 7))


def test_perfect_fusion_of_equal_sources_scores_perfectly():
    scores = metrics.compute(A, A, A, FAST)
    perfect = {"ce": 0, "qc": 1, "qw": 1, "qw_edges": 1, "qcv": 0, "mef_ssim": 1}
    for key, value in perfect.items():
        assert scores[key] == pytest.approx(value, abs=1e-9), key
    worse = metrics.compute(A, A, FUSED, FAST)
    for key in perfect:
        is_worse = worse[key] < scores[key]
        assert is_worse == MEFB_METRICS[key].higher_is_better, key


def test_sources_can_be_exchanged():
    scores = metrics.compute(A, B, FUSED, FAST)
    for key, value in metrics.compute(B, A, FUSED, FAST).items():
        assert value == pytest.approx(scores[key], rel=1e-12), key


def test_constant_pictures_score_what_is_defined():
    constant = np.full_like(A, 7)
    scores = metrics.compute(constant, constant, constant, FAST)
    assert scores["ce"] == scores["te"] == scores["ei"] == 0
    assert scores["mef_ssim"] == 1  # no structure, and none is asked for
    assert np.isnan([scores[key] for key in ("qc", "qw", "qcv")]).all()


def test_best_patch_is_the_source_with_detail():
    """A flat source adds nothing, so a fusion that copies the other is perfect."""
    flat = np.full_like(A, 90)
    scores = metrics.compute(A, flat, A, ["mef_ssim"])
    assert scores["mef_ssim"] == pytest.approx(1, abs=1e-4)


def test_columns_are_metrics_and_none_is_named_twice():
    assert set(MEFB_COLUMNS) <= {*METRICS, *MEFB_METRICS}
    assert len(MEFB_COLUMNS) == 20
    assert not set(METRICS) & set(MEFB_METRICS)
    titles = {x.title for x in metrics.ALL_METRICS.values()}
    assert len(titles) == len(metrics.ALL_METRICS)


@pytest.mark.parametrize(
    ("key", "cure"),
    [
        ("ssim", "did you mean ssim_refusion, ssim_wang, ms_ssim or mef_ssim"),
        ("SSIM-Wang", "did you mean ssim_wang"),
        ("qab/f", "did you mean qabf"),
        ("zzz", "choose some of these"),
    ],
)
def test_unknown_keys_name_similar_ones(key, cure):
    with pytest.raises(ValueError, match=f"got {key!r}; {cure}"):
        metrics.check_keys([key])
