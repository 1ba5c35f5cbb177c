"""MEF-SSIM (Ma, Zeng & Wang 2015): structure of the best patch that sources allow."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import LARGEST, Levels, as_levels
from refusion_jax.metrics.ssim import GAUSSIAN, SCALE_WEIGHTS
from refusion_jax.metrics.windows import (
    Map,
    Pictures,
    box_taps,
    exact_moments,
    local_mean,
    sums_over_windows,
)

SIDE = len(GAUSSIAN)
BOX = box_taps(SIDE)
SCALES = 3
SMALLEST_SIDE = SIDE * 2 ** (SCALES - 1)
C = (0.03 * LARGEST) ** 2
# Of the authors' code: the least norm of a patch, the largest power of a weight.
LEAST_NORM, LARGEST_POWER = 0.001, 10.0
EPSILON = float(np.finfo(np.float64).eps)


def mef_ssim(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns MEF-SSIM (Ma, Zeng & Wang 2015) on three scales.

    Per 11 x 11 patch, x~ being a patch without its mean:
      R = |a~ + b~| / (|a~| + |b~|),  p = min(tan(pi R / 2), 10),
      r = sum_k (|x~_k| / 11)^p x~_k / |x~_k|, scaled to the larger of |a~| and |b~|,
      Q = (2 s_rF + C) / (s_r^2 + s_F^2 + C), C = (0.03 * 255)^2,
    with variances and the covariance under a Gaussian of sigma 1.5. Q is averaged over
    the patches inside the picture; scales are halved by 2 x 2 means, and the result is
    the product of Q^w, w = 0.0448, 0.2856, 0.3001, divided by their sum.

    Args:
      source_a, source_b, fused: 0..255, sides of at least 44.

    Returns:
      In [0, 1]. Needs float64 on saturated pictures.

    Note:
      MEFB's "MEF_SSIM" and the "MS_SSIM" of Tang's toolkit are the same code of the
      authors. There, flat patches have a rounding error for structure; here they have
      none. A negative mean counts as 0.

    Examples:
      >>> ramp = jnp.arange(44 * 44).reshape(44, 44) % 251
      >>> f"{mef_ssim(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    images = jnp.stack(
        as_levels(source_a, source_b, fused, smallest_side=SMALLEST_SIDE)
    )
    weights = np.array(SCALE_WEIGHTS[:SCALES]) / sum(SCALE_WEIGHTS[:SCALES])
    product = jnp.ones((), images.dtype)
    for scale, weight in enumerate(weights.tolist()):
        if scale:
            images = _halved(images)
        height, width = (side - SIDE + 1 for side in images.shape[1:])
        (sums,) = sums_over_windows(_quality, images, SIDE)
        product = product * jnp.maximum(sums / (height * width), 0) ** weight
    return product


def _quality(images: Pictures) -> tuple[Map]:
    """Returns Q of every patch.

    The best patch r is a linear combination of the sources' patches, so that its
    moments follow from theirs.
    """
    plain = exact_moments(images[:2], ((0, 1),), BOX)
    square_a, square_b = (SIDE**2 * variance for variance in plain.variances)
    product = SIDE**2 * plain.covariances[0]
    norm_a, norm_b = jnp.sqrt(square_a), jnp.sqrt(square_b)
    norm_of_sum = jnp.sqrt(jnp.maximum(square_a + square_b + 2 * product, 0))
    likeness = (norm_of_sum + EPSILON) / (norm_a + norm_b + EPSILON)
    angle = jnp.pi / 2 * jnp.minimum(likeness, 1 - EPSILON)
    power = jnp.minimum(jnp.tan(angle), LARGEST_POWER)
    norm_a, norm_b = norm_a + LEAST_NORM, norm_b + LEAST_NORM
    weight_a, weight_b = ((norm / SIDE) ** power + EPSILON for norm in (norm_a, norm_b))
    total = weight_a + weight_b
    share_a, share_b = weight_a / total / norm_a, weight_b / total / norm_b
    square = (
        share_a**2 * square_a + share_b**2 * square_b + 2 * share_a * share_b * product
    )
    is_textured = square > 0
    scale = jnp.maximum(norm_a, norm_b) / jnp.sqrt(jnp.where(is_textured, square, 1))
    scale = jnp.where(is_textured, scale, 1)
    share_a, share_b = scale * share_a, scale * share_b
    _, (of_a, of_b, of_fused), (a_b, a_f, b_f) = exact_moments(
        images, ((0, 1), (0, 2), (1, 2)), GAUSSIAN
    )
    variance = share_a**2 * of_a + share_b**2 * of_b + 2 * share_a * share_b * a_b
    covariance = share_a * a_f + share_b * b_f
    return ((2 * covariance + C) / (variance + of_fused + C),)


def _halved(images: Float[Array, "3 height width"]) -> Array:
    margins = [(0, side % 2) for side in images.shape[1:]]
    padded = jnp.pad(images, [(0, 0), *margins], mode="edge")
    return local_mean(padded, box_taps(2), stride=2)
