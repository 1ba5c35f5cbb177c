"""Q_CV (Chen & Varshney 2007): differences that the eye sees, where edges are."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.edges import length_of, sobel
from refusion_jax.metrics.levels import Levels, as_levels, ratio, stretched
from refusion_jax.metrics.windows import Map

BLOCK = 16
SALIENCY_POWER = 5
CYCLES_PER_UNIT = 4.0


def qcv(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_CV (Chen & Varshney 2007) with the choices of imageFusionMetrics.

    1. Each picture is stretched: round(255 (x - min) / (max - min)), halves upward.
    2. X - F is filtered in the frequency domain (circular) by Mannos and Sakrison,
       2.6 (0.0192 + 0.144 r) exp(-(0.144 r)^1.1), r = cycles per picture / 4.
    3. In blocks of 16 x 16 (zeros fill up the last ones) D_X is the mean of its square,
       and l_X = sum(g_X^5), g being the length of the Sobel gradient with zeros beyond
       the border.
    4. Q_CV = sum(l_A D_A + l_B D_B) / sum(l_A + l_B).

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Squared grey levels, at least 0, lower is better; NaN if a picture is constant.

    Note:
      MEFB and VIFB do the same. The paper names 1 to 15 as powers of the saliency; the
      codes take 5.

    Examples:
      >>> ramp = jnp.arange(24 * 24).reshape(24, 24) % 256
      >>> print(qcv(ramp, ramp, ramp), qcv(ramp, ramp, ramp.T) > 100)
      0.0 True
    """
    a, b, seen = (stretched(x) for x in as_levels(source_a, source_b, fused))
    saliency_a, saliency_b = (_saliency(x) for x in (a, b))
    error_a, error_b = (_blocks(_as_seen(x - seen) ** 2).mean((1, 3)) for x in (a, b))
    return ratio(
        jnp.sum(saliency_a * error_a + saliency_b * error_b),
        jnp.sum(saliency_a + saliency_b),
    )


def _saliency(image: Map) -> Map:
    return _blocks(length_of(*sobel(image, "constant")) ** SALIENCY_POWER).sum((1, 3))


def _blocks(values: Map) -> Array:
    """Returns the pixels of each block: (rows, 16, columns, 16)."""
    height, width = values.shape
    padded = jnp.pad(values, ((0, -height % BLOCK), (0, -width % BLOCK)))
    rows, columns = (side // BLOCK for side in padded.shape)
    return padded.reshape(rows, BLOCK, columns, BLOCK)


def _as_seen(difference: Map) -> Map:
    down, across = (np.fft.fftfreq(size, 1 / size) for size in difference.shape)
    radius = np.hypot(down[:, None], across) / CYCLES_PER_UNIT
    sensitivity = (
        2.6 * (0.0192 + 0.144 * radius) * np.exp(-((0.144 * radius) ** 1.1))
    ).astype(difference.dtype)
    return jnp.fft.ifft2(jnp.fft.fft2(difference) * sensitivity).real
