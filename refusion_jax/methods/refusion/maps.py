"""What the three networks make of one pair, as pictures."""

import jax
import numpy as np
from jax import Array

from refusion_jax.array_types import Image
from refusion_jax.methods.refusion.nets.networks import (
    NetsParams,
    fuse,
    propose,
    reconstruct,
)


def look(
    params: NetsParams, source_a: np.ndarray, source_b: np.ndarray
) -> dict[str, np.ndarray]:
    """Everything the networks make of one pair.

    Args:
      params: the three networks.
      source_a, source_b: uint8 luminance, height x width.

    Returns:
      Pictures in [0, 1] by name: fused, recon_a, recon_b, w_a, w_b, v_a, v_b.
    """
    images = (x[None, ..., None].astype(np.float32) / 255 for x in (source_a, source_b))
    return {name: x[0] for name, x in jax.device_get(_look(params, *images)).items()}


@jax.jit
def _look(params: NetsParams, source_a: Image, source_b: Image) -> dict[str, Array]:
    fused = fuse(params.fusion, source_a, source_b)
    recon_a, recon_b = reconstruct(params.reconstruction, fused)
    weights = propose(params.proposal, source_a, source_b)
    return {
        "fused": fused[..., 0],
        "recon_a": recon_a[..., 0],
        "recon_b": recon_b[..., 0],
        "w_a": weights.intensity[..., 0],
        "w_b": weights.intensity[..., 1],
        "v_a": weights.gradient[..., 0],
        "v_b": weights.gradient[..., 1],
    }
