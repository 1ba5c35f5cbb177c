"""Classical fusion of two luminances by OpenCV: what a network has to beat.

Each function takes grey levels 0..255 of one size, uint8, height x width, and returns
the same; results are rounded half up and clipped. Like the network they see luminance
only: colour plays no part in the scores. All need the extra `classical` and raise
ImportError without it.
"""

from itertools import pairwise
from types import ModuleType

import numpy as np
from jaxtyping import Float, UInt8

from refusion_jax.extras import require

Levels = UInt8[np.ndarray, "height width"]
Map = Float[np.ndarray, "height width"]

PYRAMID_LEVELS = 5
# Li, Kang & Hu 2013, section IV: of base and detail; the filters before them.
BASE_RADIUS, BASE_SMOOTHNESS = 45, 0.3
DETAIL_RADIUS, DETAIL_SMOOTHNESS = 7, 1e-6
BASE_WINDOW, SALIENCY_WINDOW, SALIENCY_SIGMA = 31, 11, 5


def require_opencv() -> ModuleType:
    """Returns OpenCV's module.

    Raises:
      ImportError: naming the extra that installs it.
    """
    return require("cv2", extra="classical", why="to fuse by classical methods")


def laplacian(luminance_a: Levels, luminance_b: Levels) -> Levels:
    """Fuses by Laplacian pyramids (Burt & Adelson 1983), the larger coefficient wins.

    Five bands, each the difference of a level and the enlarged next one (`pyrDown`,
    `pyrUp`: 5x5 binomial windows). In each band and pixel the coefficient of larger
    magnitude is kept, a's where both are equal; what remains below is averaged.

    Args:
      luminance_a, luminance_b: 0..255, of one size.

    Returns:
      0..255.

    Raises:
      ImportError: without OpenCV.
    """
    cv2 = require_opencv()

    def bands(luminance: Levels) -> list[Map]:
        levels = [luminance.astype(np.float32)]
        for _ in range(PYRAMID_LEVELS):
            levels.append(cv2.pyrDown(levels[-1]))
        fine = [
            level - cv2.pyrUp(coarser, dstsize=level.shape[::-1])
            for level, coarser in pairwise(levels)
        ]
        return [*fine, levels[-1]]

    *bands_a, rest_a = bands(luminance_a)
    *bands_b, rest_b = bands(luminance_b)
    fused = (rest_a + rest_b) / 2
    for band_a, band_b in zip(reversed(bands_a), reversed(bands_b), strict=True):
        chosen = np.where(np.abs(band_a) >= np.abs(band_b), band_a, band_b)
        fused = cv2.pyrUp(fused, dstsize=chosen.shape[::-1]) + chosen
    return _rounded(fused)


def mertens(luminance_a: Levels, luminance_b: Levels) -> Levels:
    """Fuses by exposure fusion (Mertens, Kautz & Van Reeth 2007), `MergeMertens`.

    The weight of a pixel is contrast times well-exposedness, exp(-(I - 0.5)^2 / 0.08),
    both to the power of 1 as in the paper; OpenCV's own default leaves exposedness out.
    The paper's third factor, saturation, does not exist in luminance. Blended by
    pyramids.

    Args:
      luminance_a, luminance_b: 0..255, of one size.

    Returns:
      0..255.

    Raises:
      ImportError: without OpenCV.
    """
    merge = require_opencv().createMergeMertens(
        contrast_weight=1.0, saturation_weight=1.0, exposure_weight=1.0
    )
    return _rounded(255 * merge.process([luminance_a, luminance_b]))


def guided(luminance_a: Levels, luminance_b: Levels) -> Levels:
    """Fuses by guided filtering (Li, Kang & Hu, IEEE TIP 2013).

    A source is a base, its mean over 31x31 pixels, and the detail that is left. Its
    weight is 1 where its saliency (|Laplacian|, smoothed by an 11x11 Gaussian of sigma
    5) is the larger one, a's where both are equal, and otherwise 0. These maps are
    filtered under their source's guidance (He, Sun & Tang 2010), with r = 45, eps = 0.3
    for bases and r = 7, eps = 1e-6 for details, and divided by the sum of both.

    Args:
      luminance_a, luminance_b: 0..255, of one size.

    Returns:
      0..255.

    Raises:
      ImportError: without OpenCV.
    """
    cv2 = require_opencv()
    # In float64: with eps = 1e-6 the variance in a flat window must be exact to less.
    sources = [x.astype(np.float64) / 255 for x in (luminance_a, luminance_b)]
    window = (BASE_WINDOW, BASE_WINDOW)
    bases = [cv2.blur(x, window, borderType=cv2.BORDER_REPLICATE) for x in sources]
    saliency_a, saliency_b = (_saliency(x) for x in sources)
    wins_a = (saliency_a >= saliency_b).astype(np.float64)
    fused = np.zeros_like(sources[0])
    for radius, smoothness, layers in (
        (BASE_RADIUS, BASE_SMOOTHNESS, bases),
        (
            DETAIL_RADIUS,
            DETAIL_SMOOTHNESS,
            [x - base for x, base in zip(sources, bases, strict=True)],
        ),
    ):
        weights = [
            guided_filter(wins, source, radius=radius, smoothness=smoothness)
            for wins, source in zip((wins_a, 1 - wins_a), sources, strict=True)
        ]
        # The small number decides for the mean where both weights are clipped to 0.
        weight_a, weight_b = (np.clip(x, 0, 1) + 1e-12 for x in weights)
        layer_a, layer_b = layers
        fused += (weight_a * layer_a + weight_b * layer_b) / (weight_a + weight_b)
    return _rounded(255 * fused)


def guided_filter(picture: Map, guide: Map, *, radius: int, smoothness: float) -> Map:
    """Filters a picture so that its edges follow a guide (He, Sun & Tang 2010).

    In each window the picture is fitted by a line in the guide, a = cov(I, p) /
    (var(I) + eps), b = mean(p) - a mean(I); the lines of all windows that contain a
    pixel are averaged. At the border windows hold fewer pixels.

    Args:
      picture, guide: float64 in [0, 1], of one size.
      radius: of the square windows, in pixels.
      smoothness: eps; edges of the guide of a variance far below it are smoothed.

    Returns:
      float64, roughly in [0, 1].

    Raises:
      ImportError: without OpenCV.
    """
    cv2 = require_opencv()
    side = 2 * radius + 1

    def sums(values: Map) -> Map:
        filtered: Map = cv2.boxFilter(
            values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        return filtered

    pixels = sums(np.ones_like(guide))
    mean_guide, mean_picture = sums(guide) / pixels, sums(picture) / pixels
    covariance = sums(guide * picture) / pixels - mean_guide * mean_picture
    variance = sums(guide * guide) / pixels - mean_guide**2
    slope = covariance / (variance + smoothness)
    offset = mean_picture - slope * mean_guide
    return sums(slope) / pixels * guide + sums(offset) / pixels


def _saliency(source: Map) -> Map:
    cv2 = require_opencv()
    edges = cv2.Laplacian(source, cv2.CV_64F, borderType=cv2.BORDER_REPLICATE)
    smoothed: Map = cv2.GaussianBlur(
        np.abs(edges),
        (SALIENCY_WINDOW, SALIENCY_WINDOW),
        SALIENCY_SIGMA,
        borderType=cv2.BORDER_REPLICATE,
    )
    return smoothed


def _rounded(levels: Map) -> Levels:
    return np.clip(np.floor(levels + 0.5), 0, 255).astype(np.uint8)
