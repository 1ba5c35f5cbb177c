"""PSNR and SSIM to the true picture, for scenes of which there is one.

Metrics of fusion compare with the sources; these compare with what the sources should
have shown, such as a photograph that is in focus everywhere.
"""

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.correlation import psnr
from refusion_jax.metrics.levels import Levels
from refusion_jax.metrics.ssim import ssim_wang


def psnr_truth(truth: Levels, fused: Levels) -> Scalar:
    """Returns PSNR to the true picture, 10 log10(255^2 / mean((T - F)^2)).

    Args:
      truth, fused: 0..255.

    Returns:
      dB, at least 0; infinite if F is the truth. float32 is enough.

    Examples:
      >>> import jax.numpy as jnp
      >>> f"{psnr_truth(jnp.zeros((2, 2)), jnp.full((2, 2), 25.5)):.2f}"
      '20.00'
    """
    return psnr(truth, truth, fused)


def ssim_truth(truth: Levels, fused: Levels) -> Scalar:
    """Returns SSIM to the true picture, with the window and constants of its paper.

    11x11 Gaussian of sigma 1.5, weighted variances, windows inside the picture, L = 255
    (Wang, Bovik, Sheikh & Simoncelli 2004).

    Args:
      truth, fused: 0..255, at least 11 x 11.

    Returns:
      In [-1, 1]; 1 if F is the truth. float32 is accurate to about 1e-4.

    Examples:
      >>> import jax.numpy as jnp
      >>> ramp = jnp.arange(144).reshape(12, 12)
      >>> f"{ssim_truth(ramp, ramp):.3f}"
      '1.000'
    """
    return ssim_wang(truth, truth, fused) / 2
