"""SD, SF, AG: how much a fused picture varies, whatever its sources were."""

import jax.numpy as jnp

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels


def sd(fused: Levels) -> Scalar:
    """SD, the standard deviation.

    SD = sqrt(mean((F - mean F)^2)), divisor mn. All reference codes agree; one prints
    it under the name "variance", and MATLAB's `std2` (divisor mn - 1) is not it.

    Args:
      fused: 0..255.

    Returns:
      Grey levels, in [0, 127.5]; 0 of a constant picture. float32 is enough.
    """
    (fused,) = as_levels(fused)
    return jnp.sqrt(jnp.mean(jnp.square(fused - fused.mean())))


def sf(fused: Levels) -> Scalar:
    """SF, the spatial frequency (Eskicioglu & Fisher 1995).

    SF = sqrt(mean d_h^2 + mean d_v^2), d_h, d_v the differences of horizontal and of
    vertical neighbours; each mean is over the differences that exist.

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels, in [0, 361]; 0 of a constant picture. float32 is enough.

    Note:
      As CDDFuse's evaluator and two others. MEFB and VIFB divide by mn: `sf_mefb`.
    """
    (fused,) = as_levels(fused, smallest_side=2)
    horizontal, vertical = (jnp.square(jnp.diff(fused, axis=axis)) for axis in (1, 0))
    return jnp.sqrt(horizontal.mean() + vertical.mean())


def sf_mefb(fused: Levels) -> Scalar:
    """`sf` as MEFB and VIFB compute it: both sums of squares divided by mn.

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels; about 0.1 % below `sf` at 640 x 480.
    """
    (fused,) = as_levels(fused, smallest_side=2)
    horizontal, vertical = (jnp.square(jnp.diff(fused, axis=axis)) for axis in (1, 0))
    return jnp.sqrt((horizontal.sum() + vertical.sum()) / fused.size)


def ag(fused: Levels) -> Scalar:
    """AG, the average gradient (Cui et al. 2015).

    AG = mean(sqrt((g_x^2 + g_y^2) / 2)), g_x and g_y the central differences, halved,
    one-sided on the border (as `numpy.gradient`); the mean is over all mn pixels.

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels per pixel, in [0, 255]; 0 of a constant picture. float32 is enough.

    Note:
      As CDDFuse's evaluator. VIFB, MEFB and Tang's toolkit divide the sum of the
      same mn values by (m - 1)(n - 1): `ag_mefb`.
    """
    (fused,) = as_levels(fused, smallest_side=2)
    down, across = jnp.gradient(fused)
    return jnp.sqrt((jnp.square(across) + jnp.square(down)) / 2).mean()


def ag_mefb(fused: Levels) -> Scalar:
    """`ag` as MEFB, VIFB and Tang's toolkit compute it: divided by (m - 1)(n - 1).

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels per pixel; 0.4 % above `ag` at 640 x 480.
    """
    height, width = fused.shape
    return ag(fused) * (height * width / ((height - 1) * (width - 1)))
