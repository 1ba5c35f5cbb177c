"""The outputs of F, R and P for one pair as pictures, and P's maps alone."""

import jax
import numpy as np
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Luminance
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.networks import (
    NetsParams,
    fuse,
    propose,
    reconstruct,
)

NAMES = ("w_a", "w_b", "v_a", "v_b")  # in order: `jit` would sort them


def look(params: NetsParams, source_a: Image, source_b: Image) -> dict[str, np.ndarray]:
    """Returns the outputs of all three networks for one pair.

    Args:
      params: theta_F, theta_R, theta_P.
      source_a, source_b: luminance in [0, 1], a batch of one.

    Returns:
      float32 pictures in [0, 1], (height, width), by name: fused, recon_a, recon_b,
      w_a, w_b, v_a, v_b.
    """
    made = jax.device_get(in_precision(_look, "float32")(params, source_a, source_b))
    return {name: image[0] for name, image in made.items()}


@jax.jit
def _look(params: NetsParams, source_a: Image, source_b: Image) -> dict[str, Array]:
    fused = fuse(params.fusion, source_a, source_b)
    recon_a, recon_b = reconstruct(params.reconstruction, fused)
    return {
        "fused": fused[..., 0],
        "recon_a": recon_a[..., 0],
        "recon_b": recon_b[..., 0],
        **_by_name(propose(params.proposal, source_a, source_b)),
    }


def propose_maps(
    params: Params, luminance_a: Luminance, luminance_b: Luminance
) -> dict[str, np.ndarray]:
    """Returns P's weight maps for one pair.

    Args:
      params: theta_P.
      luminance_a, luminance_b: in [0, 1].

    Returns:
      w_a, w_b, v_a, v_b by name, float32 in [0, 1], (height, width).
    """
    pair = np.asarray(luminance_a)[None], np.asarray(luminance_b)[None]
    made = jax.device_get(_propose(params, *pair))
    return {name: made[name][0] for name in NAMES}


@jax.jit
def _propose(params: Params, source_a: Image, source_b: Image) -> dict[str, Array]:
    return _by_name(in_precision(propose, "float32")(params, source_a, source_b))


def _by_name(weights: WeightMaps) -> dict[str, Array]:
    return {
        "w_a": weights.intensity[..., 0],
        "w_b": weights.intensity[..., 1],
        "v_a": weights.gradient[..., 0],
        "v_b": weights.gradient[..., 1],
    }
