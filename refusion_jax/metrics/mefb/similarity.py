"""Q_C (Cvejic) and Q_W (Piella): similarity to the sources, weighed per window."""

import jax.numpy as jnp
from jaxtyping import Array

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import LARGEST, Levels, as_levels, ratio
from refusion_jax.metrics.ssim import GAUSSIAN
from refusion_jax.metrics.windows import (
    Map,
    Moments,
    Pictures,
    exact_moments,
    sums_over_windows,
)
from refusion_jax.metrics.yang import CONSTANT, TAPS

_PAIRS = ((0, 2), (1, 2))  # each source and the fused picture
_C1, _C2 = (0.01 * LARGEST) ** 2, (0.03 * LARGEST) ** 2


def qc(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_C (Cvejic, Loza, Bull & Canagarajah 2005), with MEFB's windows.

    S_AF, S_BF are SSIM maps with a 7 x 7 Gaussian of sigma 1.5, inside the picture,
    C1 = C2 = 2e-16; l = s_AF / (s_AF + s_BF), covariances, clipped to [0, 1]. Q_C is
    the mean of l S_AF + (1 - l) S_BF over the windows where s_AF + s_BF is not 0.

    Args:
      source_a, source_b, fused: 0..255, at least 7 x 7.

    Returns:
      In [-1, 1]; NaN if no window is left. Needs float64.

    Note:
      imageFusionMetrics and MEFB replace the window's quality by 0 and 1, not l, where
      l is below 0 and above 1: `qc_mefb`. Flat windows are exact here, as in `qy`.

    Examples:
      >>> ramp = jnp.arange(64).reshape(8, 8)
      >>> f"{qc(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    return _qc(source_a, source_b, fused, is_quality_clipped=False)


def qc_mefb(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns "Q_C" as imageFusionMetrics and MEFB compute it, see `qc`.

    Args:
      source_a, source_b, fused: 0..255, at least 7 x 7.

    Returns:
      In [-1, 1]; the same NaN.
    """
    return _qc(source_a, source_b, fused, is_quality_clipped=True)


def _qc(
    source_a: Levels, source_b: Levels, fused: Levels, *, is_quality_clipped: bool
) -> Scalar:
    images = jnp.stack(as_levels(source_a, source_b, fused, smallest_side=len(TAPS)))

    def maps(strip: Pictures) -> tuple[Map, Map]:
        moments = exact_moments(strip, _PAIRS, TAPS)
        of_a, of_b = moments.covariances
        is_defined = of_a + of_b != 0
        share = of_a / jnp.where(is_defined, of_a + of_b, 1)
        held = jnp.clip(share, 0, 1)
        like_a, like_b = (_ssim(moments, i, CONSTANT, CONSTANT) for i in (0, 1))
        quality = held * like_a + (1 - held) * like_b
        if is_quality_clipped:
            quality = jnp.where(held == share, quality, held)
        return jnp.where(is_defined, quality, 0), is_defined.astype(strip.dtype)

    return ratio(*sums_over_windows(maps, images, len(TAPS)))


def _ssim(moments: Moments, source: int, c1: float, c2: float) -> Map:
    means, variances, covariances = moments
    return ((2 * means[source] * means[2] + c1) * (2 * covariances[source] + c2)) / (
        (means[source] ** 2 + means[2] ** 2 + c1)
        * (variances[source] + variances[2] + c2)
    )


def qw(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_W, the weighted fusion quality (Piella & Heijmans 2003).

    S_AF, S_BF are SSIM maps with an 11 x 11 Gaussian of sigma 1.5 and L = 255, inside
    the picture; l = s_A^2 / (s_A^2 + s_B^2), variances. Q_W is the mean of
    l S_AF + (1 - l) S_BF, weighed by max(s_A^2, s_B^2).

    Args:
      source_a, source_b, fused: 0..255, at least 11 x 11.

    Returns:
      In [-1, 1]; NaN if both sources are flat in every window. float32 is accurate to
      about 1e-4.

    Note:
      imageFusionMetrics gives flat windows a variance of 0.5. What MEFB prints as "Qw"
      is `qw_edges`.

    Examples:
      >>> ramp = jnp.arange(144).reshape(12, 12)
      >>> f"{qw(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    return _qw(as_levels(source_a, source_b, fused, smallest_side=len(GAUSSIAN)))


def qw_edges(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_W of edge pictures, the "Qw" of MEFB (Piella & Heijmans 2003).

    `qw` of sqrt(p_x^2 + p_y^2) of each picture, where p are the Prewitt derivatives
    (absolute taps sum to 6) with zeros beyond the border. Piella's Q_E multiplies it
    with `qw`.

    Args:
      source_a, source_b, fused: 0..255, at least 11 x 11.

    Returns:
      In [-1, 1]; NaN as in `qw`.

    Examples:
      >>> ramp = jnp.arange(144).reshape(12, 12)
      >>> f"{qw_edges(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    images = as_levels(source_a, source_b, fused, smallest_side=len(GAUSSIAN))
    return _qw([_prewitt(image) for image in images])


def _qw(images: list[Array] | tuple[Array, ...]) -> Scalar:
    def maps(strip: Pictures) -> tuple[Map, Map]:
        moments = exact_moments(strip, _PAIRS, GAUSSIAN)
        of_a, of_b = moments.variances[:2]
        has_detail = of_a + of_b > 0
        share = of_a / jnp.where(has_detail, of_a + of_b, 1)
        like_a, like_b = (_ssim(moments, i, _C1, _C2) for i in (0, 1))
        weight = jnp.maximum(of_a, of_b)
        return weight * (share * like_a + (1 - share) * like_b), weight

    return ratio(*sums_over_windows(maps, jnp.stack(images), len(GAUSSIAN)))


def _prewitt(image: Map) -> Map:
    height, width = image.shape
    padded = jnp.pad(image, 1)
    rows = padded[:height] + padded[1 : height + 1] + padded[2:]
    columns = padded[:, :width] + padded[:, 1 : width + 1] + padded[:, 2:]
    across, down = rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]
    return jnp.sqrt(across**2 + down**2)
