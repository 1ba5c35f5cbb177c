"""The metrics of the paper's tables in NumPy, SciPy and scikit-image.

Written as a user of those libraries would write them, on float64 grey pictures 0..255:
the benchmark compares with them, and the tests use them as an independent oracle.
"""

import numpy as np
from scipy import fft, ndimage
from skimage.metrics import structural_similarity

Image = np.ndarray  # float64, height x width, grey levels 0..255


def en(fused: Image) -> float:
    """Entropy of the grey levels, bits."""
    return _entropy(np.bincount(fused.astype(np.uint8).ravel(), minlength=256))


def sd(fused: Image) -> float:
    """Population standard deviation."""
    return float(fused.std())


def sf(fused: Image) -> float:
    """Spatial frequency."""
    across, down = np.diff(fused, axis=1), np.diff(fused, axis=0)
    return float(np.sqrt(np.mean(across**2) + np.mean(down**2)))


def ag(fused: Image) -> float:
    """Average gradient."""
    down, across = np.gradient(fused)
    return float(np.sqrt((across**2 + down**2) / 2).mean())


def scd(source_a: Image, source_b: Image, fused: Image) -> float:
    """Sum of the correlations of differences."""

    def correlation(x: Image, y: Image) -> float:
        return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])

    return correlation(fused - source_b, source_a) + correlation(
        fused - source_a, source_b
    )


def ssim_refusion(source_a: Image, source_b: Image, fused: Image) -> float:
    """Mean over the sources of SSIM, 7x7 box, L = 2."""
    values = [
        structural_similarity(source, fused, data_range=2)
        for source in (source_a, source_b)
    ]
    return float(np.mean(values))


def viff(source_a: Image, source_b: Image, fused: Image) -> float:
    """VIF for fusion (Han et al. 2013)."""
    noise, total = 0.005 * 255**2, 0.0
    images = [source_a, source_b, fused]
    for size, weight in ((17, 1), (9, 0), (5, 0.15), (3, 1)):
        if size < 17:
            images = [_blur(image, size)[::2, ::2] for image in images]
        (gain_a, *of_a), (gain_b, *of_b) = (
            _information(source, images[2], size, noise) for source in images[:2]
        )
        kept, present = np.where(gain_a < gain_b, of_a, of_b) + 1e-7
        total += weight * kept.sum() / present.sum()
    return float(total / 2.15)


def _information(
    source: Image, fused: Image, size: int, noise: float
) -> tuple[Image, Image, Image]:
    """Gain, information kept and information there, of one source at one scale."""
    mean_x, mean_y = _blur(source, size), _blur(fused, size)
    var_x = np.maximum(_blur(source * source, size) - mean_x * mean_x, 0)
    var_y = np.maximum(_blur(fused * fused, size) - mean_y * mean_y, 0)
    covariance = _blur(source * fused, size) - mean_x * mean_y
    gain = covariance / (var_x + 1e-10)
    residual = var_y - gain * covariance
    flat = var_x < 1e-10
    gain[flat], residual[flat], var_x[flat] = 0, var_y[flat], 0
    flat = var_y < 1e-10
    gain[flat], residual[flat] = 0, 0
    residual[gain < 0] = var_y[gain < 0]
    gain = np.maximum(gain, 0)
    residual = np.maximum(residual, 1e-10)
    kept = np.log10(1 + gain**2 * var_x / (residual + noise))
    return gain, kept, np.log10(1 + var_x / noise)


def _blur(image: Image, size: int) -> Image:
    """Gaussian of sigma size / 5, where the window lies inside the picture."""
    positions = np.arange(size) - size // 2
    taps = np.exp(-(positions**2) / (2 * (size / 5) ** 2))
    taps /= taps.sum()
    blurred = ndimage.correlate1d(ndimage.correlate1d(image, taps, 0), taps, 1)
    margin = size // 2
    return blurred[margin:-margin, margin:-margin]


def qcb(source_a: Image, source_b: Image, fused: Image) -> float:
    """Q_CB (Chen & Blum 2009)."""
    height, width = fused.shape
    down, across = fft.fftfreq(height, 1 / height), fft.fftfreq(width, 1 / width)
    radius = np.hypot(down[:, None], across) / 15
    sensitivity = np.exp(-((radius / 15.387) ** 2))
    sensitivity -= 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    positions = np.arange(-15, 16)

    def gaussian(image: Image, sigma: float) -> Image:
        taps = np.exp(-(positions**2) / (2 * sigma**2))
        taps /= np.sqrt(2 * np.pi) * sigma
        rows = ndimage.correlate1d(image, taps, 0, mode="constant")
        return ndimage.correlate1d(rows, taps, 1, mode="constant")

    def masked_contrast(image: Image) -> Image:
        image = image / 255
        low, high = image.min(), image.max()
        stretched = np.floor((image - low) / (high - low) * 255 + 0.5)
        seen = fft.ifft2(fft.fft2(stretched) * sensitivity).real
        contrast = np.abs(gaussian(seen, 2.0) / gaussian(seen, 4.0) - 1)
        return contrast**3 / (contrast**2 + 1e-4)

    of_a, of_b, of_fused = map(masked_contrast, (source_a, source_b, fused))
    quality_a, quality_b = (
        np.minimum(x, of_fused) / np.maximum(x, of_fused) for x in (of_a, of_b)
    )
    weighed = of_a**2 * quality_a + of_b**2 * quality_b
    return float(np.mean(weighed / (of_a**2 + of_b**2)))


def qncie(source_a: Image, source_b: Image, fused: Image) -> float:
    """Nonlinear correlation information entropy."""
    images = [source_a, source_b, fused]
    matrix = np.eye(3)
    for i in range(3):
        for j in range(i):
            table = np.histogram2d(
                images[i].ravel(), images[j].ravel(), 256, [[0, 256]] * 2
            )[0]
            shared = _entropy(table.sum(0)) + _entropy(table.sum(1)) - _entropy(table)
            matrix[i, j] = matrix[j, i] = shared / 8
    shares = np.linalg.eigvalsh(matrix) / 3
    return float(1 + np.sum(shares * np.log(shares)) / np.log(256))


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))


OF_FUSED_ALONE = {"en": en, "sd": sd, "sf": sf, "ag": ag}
OF_ALL_THREE = {
    "scd": scd,
    "ssim_refusion": ssim_refusion,
    "viff": viff,
    "qcb": qcb,
    "qncie": qncie,
}


def compute(source_a: Image, source_b: Image, fused: Image) -> dict[str, float]:
    """Computes all of the above.

    Args:
      source_a, source_b, fused: grey levels 0..255 in float64.

    Returns:
      One value per key of the paper's tables.
    """
    values = {key: metric(fused) for key, metric in OF_FUSED_ALONE.items()}
    for key, metric in OF_ALL_THREE.items():
        values[key] = metric(source_a, source_b, fused)
    return values
