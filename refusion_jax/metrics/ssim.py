"""SSIM (Wang, Bovik, Sheikh & Simoncelli 2004) in the variants that papers print.

    SSIM(x, y) = (2 m_x m_y + C1) (2 s_xy + C2)
               / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

with local means m, variances s^2 and covariance s_xy, C1 = (0.01 L)^2, C2 = (0.03 L)^2,
averaged over the windows. Codes differ in the window, the border, L, and whether they
sum or average over the two sources, so there is no function named just "SSIM" here.

| function | window | variance | border | L | sources | code |
|---|---|---|---|---|---|---|
| `ssim_refusion` | 7x7 box | sample | inside | 2 | mean | half of CDDFuse's |
| `ssim_wang` | 11x11 Gauss 1.5 | weighted | inside | 255 | sum | VIFB |
| `ssim_tang` | 11x11 Gauss 1.5 | weighted | replicated | 1 | mean | Tang's toolkit |
| `ssim_skimage` | 7x7 box | sample | inside | 255 | sum | scikit-image |
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import LARGEST, Levels, as_levels
from refusion_jax.metrics.windows import (
    Map,
    Pictures,
    Taps,
    box_taps,
    gaussian_taps,
    local_mean,
    local_moments,
    sums_over_windows,
)

BOX = box_taps(7)
GAUSSIAN = gaussian_taps(11, 1.5)
# Wang, Simoncelli & Bovik 2003; the finest scale first.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_SMALLEST_SIDE = (len(GAUSSIAN) - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1


class Similarity(NamedTuple):
    """The two factors of SSIM between two pictures.

    Attributes:
      luminance: (2 m_x m_y + C1) / (m_x^2 + m_y^2 + C1).
      structure: (2 s_xy + C2) / (s_x^2 + s_y^2 + C2), contrast and structure.
    """

    luminance: Map
    structure: Map


def similarities(
    images: Pictures,
    *,
    taps: Taps,
    level_range: float,
    is_sample: bool = False,
) -> tuple[Similarity, Similarity]:
    """Returns both factors of SSIM between each source and the fused picture.

    Args:
      images: source a, source b and the fused picture, in floating point.
      taps: weights of the window.
      level_range: L.
      is_sample: whether to use sample variances, which are divided by the number of
        pixels minus 1.

    Returns:
      For source a and for source b: maps over the windows that lie inside the picture.
    """
    count = len(taps) ** 2
    scale = count / (count - 1) if is_sample else 1.0
    c1, c2 = (0.01 * level_range) ** 2, (0.03 * level_range) ** 2
    moments = local_moments(images, ((0, 2), (1, 2)), taps)

    def of_source(i: int) -> Similarity:
        mean_x, mean_y = moments.means[i], moments.means[2]
        variance = moments.variances[i] + moments.variances[2]
        return Similarity(
            (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1),
            (2 * scale * moments.covariances[i] + c2) / (scale * variance + c2),
        )

    return of_source(0), of_source(1)


def _mean_ssim(
    images: Sequence[Array],
    *,
    taps: Taps,
    level_range: float,
    is_sample: bool = False,
) -> Float[Array, "2"]:
    """Returns the mean SSIM of each source."""

    def maps(strip: Pictures) -> list[Map]:
        of_both = similarities(
            strip, taps=taps, level_range=level_range, is_sample=is_sample
        )
        return [of_source.luminance * of_source.structure for of_source in of_both]

    stack = jnp.stack(images)
    return sums_over_windows(maps, stack, len(taps)) / _window_count(stack, taps)


def _window_count(images: Pictures, taps: Taps) -> int:
    height, width = (side - len(taps) + 1 for side in images.shape[1:])
    return height * width


def ssim_refusion(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns the "SSIM" with which ReFusion's and CDDFuse's tables are consistent.

    It is the mean over the sources of SSIM with a 7x7 box, sample covariance and L = 2.

    Args:
      source_a, source_b, fused: 0..255, at least 7 x 7.

    Returns:
      In [-1, 1]. float32 is accurate to 2e-4.

    Note:
      CDDFuse's evaluator calls scikit-image 0.19 on float32 pictures of 0..255 without
      a range, and scikit-image assumes 2, the range of -1..1. On 0..255, C1 = 4e-4 and
      C2 = 3.6e-3 stabilise nothing: a flat region with any noise scores about 0. The
      evaluator prints the sum over the sources; the tables of both papers fit half of
      it.

    Examples:
      >>> ramp = jnp.arange(64).reshape(8, 8)
      >>> f"{ssim_refusion(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    images = as_levels(source_a, source_b, fused, smallest_side=len(BOX))
    return _mean_ssim(images, taps=BOX, level_range=2, is_sample=True).mean()


def ssim_wang(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns SSIM with the constants of its paper, summed over the sources (VIFB).

    11x11 Gaussian of sigma 1.5, weighted variances, windows inside the picture,
    L = 255.

    Args:
      source_a, source_b, fused: 0..255, at least 11 x 11.

    Returns:
      In [-2, 2]. float32 is accurate to about 1e-4.

    Examples:
      >>> ramp = jnp.arange(144).reshape(12, 12)
      >>> f"{ssim_wang(ramp, ramp, ramp):.3f}"
      '2.000'
    """
    images = as_levels(source_a, source_b, fused, smallest_side=len(GAUSSIAN))
    return _mean_ssim(images, taps=GAUSSIAN, level_range=LARGEST).sum()


def ssim_skimage(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns scikit-image's `structural_similarity`, summed over the sources.

    7x7 box, sample covariance, data_range=255.

    Args:
      source_a, source_b, fused: 0..255, at least 7 x 7.

    Returns:
      In [-2, 2]. float32 is accurate to about 1e-4.
    """
    images = as_levels(source_a, source_b, fused, smallest_side=len(BOX))
    return _mean_ssim(images, taps=BOX, level_range=LARGEST, is_sample=True).sum()


def ssim_tang(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns the SSIM of Tang's toolkit: MATLAB's `ssim` on doubles of 0..255.

    11x11 Gaussian of sigma 1.5, edges replicated, one window per pixel, mean over the
    sources. MATLAB's L for doubles is 1.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [-1, 1]. Needs float64 on saturated pictures.
    """
    margin = len(GAUSSIAN) // 2
    padded = [
        jnp.pad(image, margin, mode="edge")
        for image in as_levels(source_a, source_b, fused)
    ]
    return _mean_ssim(padded, taps=GAUSSIAN, level_range=1).mean()


def ms_ssim(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns MS-SSIM (Wang, Simoncelli & Bovik 2003), summed over the sources.

    For each source it is the product over five scales of mean(structure)^w, and of
    mean(luminance * structure)^w at the coarsest scale; w = 0.0448, 0.2856, 0.3001,
    0.2363, 0.1333; windows as in `ssim_wang`, L = 255; scales by 2x2 means. A negative
    mean counts as 0.

    Args:
      source_a, source_b, fused: 0..255, sides of at least 161, which leaves 11 pixels
        on the coarsest scale.

    Returns:
      In [0, 2]. float32 is accurate to about 1e-5.

    Note:
      This follows pytorch-msssim, which pads odd sides by a zero at both ends before
      halving them; other codes differ in the second or third digit. IVIF_ZOO
      effectively has L = 1. Tang's "MS_SSIM" is MEF-SSIM (Ma, Zeng & Wang 2015),
      another quantity.
    """
    images = jnp.stack(
        as_levels(source_a, source_b, fused, smallest_side=MS_SSIM_SMALLEST_SIDE)
    )
    product = jnp.ones(2, images.dtype)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            images = _halved(images)
        is_coarsest = scale == len(SCALE_WEIGHTS) - 1

        def maps(strip: Pictures, is_coarsest: bool = is_coarsest) -> list[Map]:
            of_both = similarities(strip, taps=GAUSSIAN, level_range=LARGEST)
            return [
                x.structure * x.luminance if is_coarsest else x.structure
                for x in of_both
            ]

        sums = sums_over_windows(maps, images, len(GAUSSIAN))
        mean = sums / _window_count(images, GAUSSIAN)
        product = product * jnp.maximum(mean, 0) ** weight
    return product.sum()


def _halved(images: Float[Array, "3 height width"]) -> Array:
    _, height, width = images.shape
    margins = [(side % 2, side % 2) for side in (height, width)]
    return local_mean(jnp.pad(images, [(0, 0), *margins]), box_taps(2), stride=2)
