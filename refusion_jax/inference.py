"""Pictures in, picture out: colour, network, range, rounding.

The authors' rule, for every task alike: the luminances are fused, the result is
stretched from its own minimum and maximum to the full range, and colour is added. Two
grey sources give a grey picture, one coloured source lends its chroma, the chroma of
two is fused by Eq. 15. Grey is a picture whose three channels are equal everywhere.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from refusion_jax import nets
from refusion_jax.array_types import Image, Params
from refusion_jax.color import fuse_chroma, is_grey, rgb_to_ycbcr, ycbcr_to_rgb
from refusion_jax.data.pictures import read_picture
from refusion_jax.spatial import stretch
from refusion_jax.weights import load_fusion_params

Source = str | os.PathLike[str] | np.ndarray | jax.Array
Picture = Float[np.ndarray, "height width *channels"]


def fuse(
    source_a: Source,
    source_b: Source,
    *,
    weights: str | os.PathLike[str] | Params,
) -> np.ndarray:
    """Fuses two pictures of one scene.

    Args:
      source_a, source_b: files, or arrays of shape (height, width), (height, width, 1)
        or (height, width, 3): uint8, or floats in [0, 1]. Both of one size, in the
        order of training: infrared, visible; functional, MRI; near, far; under, over.
      weights: a weight file or run folder as `weights.load_fusion_params` takes it, or
        the parameters that it returns.

    Returns:
      uint8, 0..255: (height, width) if both sources are grey, else (height, width, 3).

    Raises:
      FileNotFoundError: if a file is missing.
      ValueError: if a source or the weights cannot be used, or the sizes differ.
    """
    picture_a, picture_b = _to_picture(source_a), _to_picture(source_b)
    if isinstance(weights, str | os.PathLike):
        weights = load_fusion_params(weights)
    return np.rint(255 * fuse_pictures(weights, picture_a, picture_b)).astype(np.uint8)


def fuse_pictures(params: Params, picture_a: Picture, picture_b: Picture) -> Picture:
    """`fuse` between the files and the rounding.

    Args:
      params: theta_F.
      picture_a, picture_b: float32 in [0, 1], of one height and width; three channels,
        or one, or none.

    Returns:
      float32 in [0, 1]: (height, width) if both are grey, else (height, width, 3).

    Raises:
      ValueError: if the sizes differ, or params are not F's or give no finite result.
    """
    size_a, size_b = picture_a.shape[:2], picture_b.shape[:2]
    if size_a != size_b:
        raise ValueError(
            f"expected sources of one size, got {size_a[1]}x{size_a[0]} and "
            f"{size_b[1]}x{size_b[0]} pixels; crop or resize the pair first."
        )
    if not isinstance(params, Mapping) or "tail1" not in params:
        raise ValueError(
            "expected a weight file, a run folder or the parameters of the fusion "
            f"network, got {type(params).__name__}; see weights.load_fusion_params."
        )
    source_a, source_b = _split(picture_a), _split(picture_b)
    raw = fuse_luminance(params, source_a.luminance, source_b.luminance)
    if not jnp.isfinite(raw).all():
        raise ValueError("expected a finite fused picture, got NaN; check the weights.")
    luminance = stretch(raw)
    chromas = [x.chroma for x in (source_a, source_b) if x.chroma is not None]
    if not chromas:
        return np.asarray(luminance[..., 0])
    chroma = chromas[0] if len(chromas) == 1 else fuse_chroma(*chromas)
    rgb = ycbcr_to_rgb(jnp.concatenate([luminance, chroma], axis=-1))
    return np.asarray(jnp.clip(rgb, 0, 1))


def fuse_luminance(
    params: Params,
    luminance_a: Float[Array, "height width 1"],
    luminance_b: Float[Array, "height width 1"],
) -> Float[Array, "height width 1"]:
    """Runs F on one pair.

    Args:
      params: theta_F.
      luminance_a, luminance_b: in [0, 1].

    Returns:
      F's output in (0, 1), before any stretch.
    """
    return _forward(params, luminance_a[None], luminance_b[None])[0]


@jax.jit
def _forward(params: Params, source_a: Image, source_b: Image) -> Image:
    # Accelerators would round products to 10 bits, which a picture can show.
    with jax.default_matmul_precision("highest"):
        return nets.fuse(params, source_a, source_b)


class _Split(NamedTuple):
    luminance: Float[Array, "height width 1"]
    chroma: Float[Array, "height width 2"] | None  # None: a grey picture


def _split(picture: Picture) -> _Split:
    pixels = jnp.asarray(picture, jnp.float32)
    if pixels.ndim == 2 or pixels.shape[-1] == 1:
        return _Split(pixels.reshape(*pixels.shape[:2], 1), None)
    ycbcr = rgb_to_ycbcr(pixels)
    return _Split(ycbcr[..., :1], None if is_grey(pixels) else ycbcr[..., 1:])


def _to_picture(source: Source) -> Picture:
    """A source as float32 in [0, 1]."""
    if isinstance(source, str | os.PathLike):
        source = read_picture(source)
    if not isinstance(source, np.ndarray | jax.Array):
        raise ValueError(
            f"expected a path or an array, got {type(source).__name__}; convert it by "
            "numpy.asarray first."
        )
    array = np.asarray(source)
    is_shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3))
    if not is_shaped or array.size == 0:
        raise ValueError(
            "expected an array of shape (height, width), (height, width, 1) or "
            f"(height, width, 3), got {array.shape}; pass one picture at a time."
        )
    if array.dtype == np.uint8:
        return array.astype(np.float32) / 255
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"expected uint8 or floats in [0, 1], got {array.dtype}; convert it first."
        )
    # Written so that NaN fails too.
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"expected floats in [0, 1], got {array.min()} to {array.max()}; scale "
            "the picture first."
        )
    return array.astype(np.float32)
