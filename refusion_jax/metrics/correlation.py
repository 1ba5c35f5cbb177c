"""CC, SCD, MSE, PSNR: the linear agreement of a fused picture with its sources."""

import jax.numpy as jnp

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import (
    LARGEST,
    Levels,
    as_levels,
    mean_over_sources,
    ratio,
)


def correlation(x: Levels, y: Levels) -> Scalar:
    """Returns Pearson's correlation over all pixels.

    Args:
      x, y: any values, of one size.

    Returns:
      In [-1, 1]; NaN if one of the two is constant.
    """
    x, y = as_levels(x, y)
    x, y = x - x.mean(), y - y.mean()
    return ratio(jnp.sum(x * y), jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y)))


def cc(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns CC, the correlation coefficient.

    CC = (corr(A, F) + corr(B, F)) / 2. All reference codes agree.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [-1, 1]; NaN if one of the three is constant. float32 is enough.

    Examples:
      >>> infrared, visible = jnp.array([[0, 200]] * 2), jnp.array([[50, 150]] * 2)
      >>> f"{cc(infrared, visible, 255 - infrared):.3f}"
      '-1.000'
    """
    return mean_over_sources(correlation(source_a, fused), correlation(source_b, fused))


def scd(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns SCD, the sum of the correlations of differences (Aslantas & Bendes 2015).

    SCD = corr(F - B, A) + corr(F - A, B). All reference codes agree.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [-2, 2]; NaN if F differs from a source by a constant or not at all, or if a
      source is constant. float32 is enough.

    Examples:
      >>> infrared, visible = jnp.array([[0, 0], [9, 9]]), jnp.array([[0, 9], [0, 9]])
      >>> f"{scd(infrared, visible, infrared + visible):.3f}"
      '2.000'
    """
    source_a, source_b, fused = as_levels(source_a, source_b, fused)
    return correlation(fused - source_b, source_a) + correlation(
        fused - source_a, source_b
    )


def mse(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns MSE, the mean squared error, averaged over the two sources.

    MSE = (mean((A - F)^2) + mean((B - F)^2)) / 2

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Squared grey levels, in [0, 65025]. float32 is enough.

    Note:
      Tang's toolkit and IVIF_ZOO compute it on 0..1, so their values are 65025 times
      smaller. The "mse" of VIFB and MEFB is sqrt(sum of squares) / mn, which is not a
      mean squared error.

    Examples:
      >>> black = jnp.zeros((2, 2))
      >>> print(mse(black, black + 6, black + 2))
      10.0
    """
    source_a, source_b, fused = as_levels(source_a, source_b, fused)
    return mean_over_sources(
        jnp.square(source_a - fused).mean(), jnp.square(source_b - fused).mean()
    )


def psnr(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns PSNR, the peak signal-to-noise ratio of `mse`.

    PSNR = 10 log10(255^2 / MSE)

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      dB, at least 0; infinite if both sources equal F. float32 is enough.

    Note:
      CDDFuse's evaluator has max(F)^2 in place of 255^2. Tang's toolkit and IVIF_ZOO
      divide 255^2 by an error on 0..1, which adds 48.13 dB. The PSNR of VIFB and MEFB
      (about 60 dB) is not a ratio of powers.

    Examples:
      >>> black = jnp.zeros((2, 2))
      >>> f"{psnr(black, black, black + 25.5):.2f}"
      '20.00'
    """
    error = mse(source_a, source_b, fused)
    return 10 * jnp.log10(LARGEST**2 / error)
