"""SD, SF, AG: the variation within a fused picture, regardless of its sources."""

import jax.numpy as jnp

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels


def sd(fused: Levels) -> Scalar:
    """Returns SD, the standard deviation.

    SD = sqrt(mean((F - mean F)^2)), divisor mn. All reference codes agree, though one
    prints it under the name "variance". MATLAB's `std2` has the divisor mn - 1 and
    differs.

    Args:
      fused: 0..255.

    Returns:
      Grey levels, in [0, 127.5]; 0 for a constant picture. float32 is enough.

    Examples:
      >>> print(sd(jnp.array([[0, 255]])))
      127.5
    """
    (fused,) = as_levels(fused)
    return jnp.sqrt(jnp.mean(jnp.square(fused - fused.mean())))


def sf(fused: Levels) -> Scalar:
    """Returns SF, the spatial frequency (Eskicioglu & Fisher 1995).

    SF = sqrt(mean d_h^2 + mean d_v^2), where d_h and d_v are the differences between
    horizontal and between vertical neighbours; each mean is over the differences that
    exist.

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels, in [0, 361]; 0 for a constant picture. float32 is enough.

    Note:
      CDDFuse's evaluator and two others do the same. MEFB and VIFB divide by mn:
      `sf_mefb`.

    Examples:
      >>> print(sf(jnp.array([[0, 3], [4, 7]])))
      5.0
    """
    (fused,) = as_levels(fused, smallest_side=2)
    horizontal, vertical = (jnp.square(jnp.diff(fused, axis=axis)) for axis in (1, 0))
    return jnp.sqrt(horizontal.mean() + vertical.mean())


def sf_mefb(fused: Levels) -> Scalar:
    """Returns `sf` as MEFB and VIFB compute it: both sums of squares divided by mn.

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels; about 0.1 % below `sf` at 640 x 480.
    """
    (fused,) = as_levels(fused, smallest_side=2)
    horizontal, vertical = (jnp.square(jnp.diff(fused, axis=axis)) for axis in (1, 0))
    return jnp.sqrt((horizontal.sum() + vertical.sum()) / fused.size)


def ag(fused: Levels) -> Scalar:
    """Returns AG, the average gradient (Cui et al. 2015).

    AG = mean(sqrt((g_x^2 + g_y^2) / 2)), where g_x and g_y are the central differences,
    halved, and one-sided on the border (as in `numpy.gradient`); the mean is over all
    mn pixels.

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels per pixel, in [0, 255]; 0 for a constant picture. float32 is enough.

    Note:
      CDDFuse's evaluator does the same. VIFB, MEFB and Tang's toolkit divide the sum of
      the same mn values by (m - 1)(n - 1): `ag_mefb`.

    Examples:
      >>> print(ag(jnp.array([[0, 10], [10, 20]])))
      10.0
    """
    (fused,) = as_levels(fused, smallest_side=2)
    down, across = jnp.gradient(fused)
    return jnp.sqrt((jnp.square(across) + jnp.square(down)) / 2).mean()


def ag_mefb(fused: Levels) -> Scalar:
    """Returns `ag` as MEFB, VIFB and Tang's toolkit do: divided by (m - 1)(n - 1).

    Args:
      fused: 0..255, at least 2 x 2.

    Returns:
      Grey levels per pixel; 0.4 % above `ag` at 640 x 480.
    """
    height, width = fused.shape
    return ag(fused) * (height * width / ((height - 1) * (width - 1)))
