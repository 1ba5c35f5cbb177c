"""Q_CB (Chen & Blum 2009): local contrast as the eye's sensitivity filters it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import (
    LARGEST,
    Levels,
    as_levels,
    quotient,
    stretched,
)
from refusion_jax.metrics.windows import (
    Map,
    Pictures,
    local_mean,
    sums_over_windows,
)

# Contrast sensitivity: a difference of Gaussians over radial frequency.
WIDE, NARROW, NARROW_SHARE = 15.3870, 1.3456, 0.7622
CYCLES_PER_UNIT = 15.0
TAPS = 31
CENTRE_SIGMA, SURROUND_SIGMA = 2.0, 4.0
# Masked contrast C^p / (C^q + Z) with k = h = 1; p = 2.4 is the paper's other choice.
MASKING_POWER, MASKING_NORM_POWER, MASKING_OFFSET = 3, 2, 1e-4


def qcb(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_CB as MEFB and imageFusionMetrics compute it.

    1. Each picture is stretched: round(255 (x - min) / (max - min)), halves upward.
    2. It is filtered in the frequency domain (circular) with
       exp(-(r / 15.3870)^2) - 0.7622 exp(-(r / 1.3456)^2), r = cycles per picture / 15.
    3. Contrast C = |G_2 * y / G_4 * y - 1| with 31 x 31 Gaussians of sigma 2 and 4,
       sampled but not normalised, with zeros beyond the border.
    4. Masked contrast P = C^3 / (C^2 + 1e-4).
    5. Preservation Q_X = min(P_X, P_F) / max(P_X, P_F), 1 where they are equal, and
       weights w_X = P_X^2 / (P_A^2 + P_B^2).
    6. Q_CB = mean(w_A Q_A + w_B Q_B).

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [0, 1]; NaN if a picture is constant or 0 / 0 occurs at any pixel (there is no
      epsilon, as in the reference codes). Needs float64: on a constant background the
      filter's rounding error is divided by itself, which changes the value by up to 7 %
      in float32 and by 5e-4 even in float64 (3e-3 where F equals a source).

    Note:
      Levels are divided by 255 before the stretch, as in MEFB; this decides ties.
      IVIF_ZOO does not stretch, filters at half the frequencies and adds epsilons.

    Examples:
      >>> ramp = jnp.arange(24 * 24).reshape(24, 24) % 256
      >>> f"{qcb(ramp, ramp, ramp):.3f}"
      '1.000'
    """
    return _qcb(
        *(quotient(image, LARGEST) for image in as_levels(source_a, source_b, fused))
    )


def qcb_double_input(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns `qcb` with the stretch applied to 0..255, as imageFusionMetrics and VIFB.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [0, 1]; differs from `qcb` by up to 5e-5, where the stretch produces halves.
    """
    return _qcb(*as_levels(source_a, source_b, fused))


def _qcb(source_a: Array, source_b: Array, fused: Array) -> Scalar:
    # Transposed, because Octave transforms columns first, and rounding matters (see
    # `_as_seen`). Nothing else here distinguishes rows from columns.
    images = jnp.stack([stretched(image).T for image in (source_a, source_b, fused)])
    # One picture at a time, because complex spectra are large.
    seen = jax.lax.map(_as_seen, images)
    margin = TAPS // 2
    padded = jnp.pad(seen, ((0, 0), (margin, margin), (margin, margin)))
    return sums_over_windows(_quality, padded, TAPS)[0] / fused.size


def _quality(padded: Pictures) -> tuple[Map]:
    """Computes steps 3 to 6, up to the mean."""
    of_a, of_b, of_fused = _masked_contrast(padded)

    def preservation(of_source: Array) -> Array:
        high = jnp.maximum(of_source, of_fused)
        low = jnp.minimum(of_source, of_fused)
        return jnp.where(low == high, 1, low / high)

    power_a, power_b = jnp.square(of_a), jnp.square(of_b)
    share_a = power_a / (power_a + power_b)
    share_b = power_b / (power_a + power_b)
    return (share_a * preservation(of_a) + share_b * preservation(of_b),)


def _as_seen(image: Map) -> Map:
    """Computes step 2 by a complex transform, as the reference codes do.

    A real transform would suffice, but it rounds differently, and where the background
    is constant, rounding errors determine Q_CB.
    """
    down, across = (np.fft.fftfreq(size, 1 / size) for size in image.shape)
    down, across = down[:, None], across[None]
    squared = (down**2 + across**2) / CYCLES_PER_UNIT**2
    sensitivity = np.exp(-squared / WIDE**2)
    sensitivity -= NARROW_SHARE * np.exp(-squared / NARROW**2)
    spectrum = jnp.fft.fft2(image) * sensitivity.astype(image.dtype)
    return jnp.fft.ifft2(spectrum).real


def _masked_contrast(padded: Pictures) -> Pictures:
    """Computes steps 3 and 4."""
    centre, surround = (
        local_mean(padded, _sampled_gaussian(sigma))
        for sigma in (CENTRE_SIGMA, SURROUND_SIGMA)
    )
    contrast = jnp.abs(centre / surround - 1)
    return contrast**MASKING_POWER / (contrast**MASKING_NORM_POWER + MASKING_OFFSET)


def _sampled_gaussian(sigma: float) -> tuple[float, ...]:
    positions = np.arange(TAPS) - TAPS // 2
    density = np.exp(-(positions**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return tuple(density.tolist())
