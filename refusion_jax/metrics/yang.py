"""Q_Y (Yang, Zhang, Wang & Liu 2008): SSIM to the locally dominant source."""

import jax.numpy as jnp
from jaxtyping import Array

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels, ratio
from refusion_jax.metrics.windows import (
    Map,
    Pictures,
    exact_moments,
    gaussian_taps,
    sums_over_windows,
)

TAPS = gaussian_taps(7, 1.5)
CONSTANT = 2e-16
# From this similarity on, the sources count as redundant; their variances weigh them.
REDUNDANT = 0.75


def qy(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_Y, with exact variances where a window is flat.

    S_AB, S_AF, S_BF are SSIM maps with a 7 x 7 Gaussian of sigma 1.5, inside the
    picture, C1 = C2 = 2e-16; l = s_A^2 / (s_A^2 + s_B^2). Per window
      S_AB >= 0.75:  l S_AF + (1 - l) S_BF,    else  max(S_AF, S_BF);
    the mean is over the windows in which at least one source is not flat.

    Args:
      source_a, source_b, fused: 0..255, at least 7 x 7.

    Returns:
      At most 1; NaN if both sources are flat in every window. Needs float64.

    Note:
      The reference codes (imageFusionMetrics, MEFB) subtract E[x]^2 from E[x^2]. In
      flat windows the remaining rounding error far exceeds C2 and the map explodes (839
      and 4018 on pictures with saturated areas). Here variances are at least 0, and
      windows of one level have neither variance nor covariance. The values agree to
      1e-5 where the references are stable. IVIF_ZOO has other constants, borders and
      windows.

    Examples:
      >>> ramp = jnp.arange(64).reshape(8, 8)
      >>> f"{qy(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    images = jnp.stack(as_levels(source_a, source_b, fused, smallest_side=len(TAPS)))
    total, count = sums_over_windows(_quality, images, len(TAPS))
    return ratio(total, count)


def _quality(images: Pictures) -> tuple[Map, Map]:
    """Returns Q_Y of every window, 0 where both sources are flat, and a mask of those.

    The mask is 0 where both sources are flat and 1 elsewhere.
    """
    pairs = ((0, 1), (0, 2), (1, 2))
    means, variances, covariances = exact_moments(images, pairs, TAPS)

    def similarity(pair: int) -> Array:
        x, y = pairs[pair]
        luminance = 2 * means[x] * means[y] + CONSTANT
        structure = 2 * covariances[pair] + CONSTANT
        return (luminance * structure) / (
            (means[x] ** 2 + means[y] ** 2 + CONSTANT)
            * (variances[x] + variances[y] + CONSTANT)
        )

    of_both, of_a, of_b = map(similarity, range(3))
    has_detail = variances[0] + variances[1] > 0
    share = variances[0] / jnp.where(has_detail, variances[0] + variances[1], 1)
    weighed = share * of_a + (1 - share) * of_b
    quality = jnp.where(of_both >= REDUNDANT, weighed, jnp.maximum(of_a, of_b))
    return jnp.where(has_detail, quality, 0), has_detail.astype(images.dtype)
