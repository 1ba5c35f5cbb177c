"""CC, SCD, MSE, PSNR: linear agreement of a fused picture with its sources."""

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
    """Pearson's correlation over all pixels.

    Args:
      x, y: any values, of one size.

    Returns:
      In [-1, 1]; NaN where one of them is constant.
    """
    x, y = as_levels(x, y)
    x, y = x - x.mean(), y - y.mean()
    return ratio(jnp.sum(x * y), jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y)))


def cc(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """CC, the correlation coefficient.

    CC = (corr(A, F) + corr(B, F)) / 2. All reference codes agree.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [-1, 1]; NaN where one of the three is constant. float32 is enough.
    """
    return mean_over_sources(correlation(source_a, fused), correlation(source_b, fused))


def scd(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """SCD, the sum of the correlations of differences (Aslantas & Bendes 2015).

    SCD = corr(F - B, A) + corr(F - A, B). All reference codes agree.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [-2, 2]; NaN where F differs from a source by a constant or not at all, or a
      source is constant. float32 is enough.
    """
    source_a, source_b, fused = as_levels(source_a, source_b, fused)
    return correlation(fused - source_b, source_a) + correlation(
        fused - source_a, source_b
    )


def mse(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """MSE, the mean squared error, mean of the two sources.

    MSE = (mean((A - F)^2) + mean((B - F)^2)) / 2

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Squared grey levels, in [0, 65025]. float32 is enough.

    Note:
      Tang's toolkit and IVIF_ZOO compute it on 0..1: 65025 times smaller. What VIFB and
      MEFB print as "mse" is sqrt(sum of squares) / mn, which is not one.
    """
    source_a, source_b, fused = as_levels(source_a, source_b, fused)
    return mean_over_sources(
        jnp.square(source_a - fused).mean(), jnp.square(source_b - fused).mean()
    )


def psnr(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """PSNR, the peak signal-to-noise ratio of `mse`.

    PSNR = 10 log10(255^2 / MSE)

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      dB, at least 0; infinite where both sources equal F. float32 is enough.

    Note:
      CDDFuse's evaluator has max(F)^2 in place of 255^2. Tang's toolkit and IVIF_ZOO
      put 255 over an error on 0..1, which adds 48.13 dB; VIFB's and MEFB's (about
      60 dB) is no ratio of powers.
    """
    error = mse(source_a, source_b, fused)
    return 10 * jnp.log10(LARGEST**2 / error)
