"""EI: how strong the edges of the fused picture are, regardless of its sources."""

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.edges import length_of, sobel
from refusion_jax.metrics.levels import Levels, as_levels


def ei(fused: Levels) -> Scalar:
    """Returns EI, the edge intensity (as MEFB and VIFB compute it).

    EI = mean(sqrt(s_x^2 + s_y^2)), where s are the Sobel derivatives (absolute taps sum
    to 8) with the border repeated.

    Args:
      fused: 0..255.

    Returns:
      Grey levels, in [0, 1140.4]; 0 for a constant picture. float32 is enough.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(ei(jnp.array([[0, 1, 2, 3]] * 4)))
      6.0
    """
    (fused,) = as_levels(fused)
    return length_of(*sobel(fused, "edge")).mean()
