"""Colour in [0, 1]: RGB <-> YCbCr (BT.601, full range), and chroma fusion (Eq. 15).

    Y = 0.299 R + 0.587 G + 0.114 B
    Cb = (B - Y) / 1.772 + 1/2,    Cr = (R - Y) / 1.402 + 1/2

Neutral chroma is 1/2 here, 128 on 8-bit chroma, and 0.5 on the authors' 0..255 scale
(OpenCV adds 0.5 to float chroma of any scale). All three denote the same grey.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from refusion_jax.array_types import RgbImage

RED_WEIGHT, GREEN_WEIGHT, BLUE_WEIGHT = 0.299, 0.587, 0.114
RED_RANGE, BLUE_RANGE = 2 * (1 - RED_WEIGHT), 2 * (1 - BLUE_WEIGHT)
NEUTRAL_CHROMA = 0.5
# Above float32 rounding, far below the smallest chroma of an 8-bit colour (6e-4).
NEUTRAL_EPSILON = 1e-6

Luminance = Float[Array, "*batch height width 1"]
Chroma = Float[Array, "*batch height width 2"]


def rgb_to_luminance(rgb: RgbImage) -> Luminance:
    """Returns the luminance of a picture, the Y of BT.601.

    Args:
      rgb: in [0, 1].

    Returns:
      Luminance in [0, 1], one channel; for a grey pixel exactly its value.

    Examples:
      >>> float(rgb_to_luminance(jnp.full((1, 1, 3), 0.25))[0, 0, 0])
      0.25
    """
    red, green, blue = rgb[..., :1], rgb[..., 1:2], rgb[..., 2:]
    # Differences from green instead of three products, because these are exact where
    # R = G = B.
    return green + RED_WEIGHT * (red - green) + BLUE_WEIGHT * (blue - green)


def rgb_to_ycbcr(rgb: RgbImage) -> RgbImage:
    """Converts RGB to luminance and chroma; the inverse of `ycbcr_to_rgb`.

    Args:
      rgb: in [0, 1].

    Returns:
      Y, Cb, Cr in [0, 1]; the chroma of a grey pixel is exactly NEUTRAL_CHROMA.

    Examples:
      >>> rgb_to_ycbcr(jnp.full((1, 1, 3), 0.25)).tolist()
      [[[0.25, 0.5, 0.5]]]
    """
    luminance = rgb_to_luminance(rgb)
    chroma_blue = (rgb[..., 2:] - luminance) / BLUE_RANGE + NEUTRAL_CHROMA
    chroma_red = (rgb[..., :1] - luminance) / RED_RANGE + NEUTRAL_CHROMA
    return jnp.concatenate([luminance, chroma_blue, chroma_red], axis=-1)


def ycbcr_to_rgb(ycbcr: RgbImage) -> RgbImage:
    """Converts luminance and chroma to RGB; the inverse of `rgb_to_ycbcr`.

    Args:
      ycbcr: Y, Cb, Cr in [0, 1].

    Returns:
      RGB, not clipped: if luminance and chroma come from different pictures, values may
      leave [0, 1].
    """
    luminance = ycbcr[..., :1]
    blue_excess = BLUE_RANGE * (ycbcr[..., 1:2] - NEUTRAL_CHROMA)
    red_excess = RED_RANGE * (ycbcr[..., 2:] - NEUTRAL_CHROMA)
    green_excess = -(RED_WEIGHT * red_excess + BLUE_WEIGHT * blue_excess) / GREEN_WEIGHT
    return luminance + jnp.concatenate([red_excess, green_excess, blue_excess], axis=-1)


def fuse_chroma(*chromas: Chroma) -> Chroma:
    """Fuses the chroma of several sources, giving more weight to the more colourful.

    C_f = (C_a |C_a - tau| + C_b |C_b - tau|) / (|C_a - tau| + |C_b - tau|)   [Eq. 15]

    For more than two sources, numerator and denominator sum over all of them.

    Args:
      *chromas: Cb and Cr in [0, 1] of each source; the two channels are fused
        independently.

    Returns:
      Fused chroma, between the sources; a single source is returned unchanged.

    Note:
      tau = NEUTRAL_CHROMA = 1/2, the paper's 128 on 8-bit chroma. Where all sources
      are neutral, Eq. 15 is 0/0; the result is neutral here. The authors add 1e-4 to
      the denominator instead, which tints such pixels by up to one grey level.

    Examples:
      >>> coloured, neutral = jnp.full((1, 1, 2), 0.75), jnp.full((1, 1, 2), 0.5)
      >>> fuse_chroma(coloured, neutral).tolist()
      [[[0.75, 0.75]]]
    """
    offsets = jnp.stack([chroma - NEUTRAL_CHROMA for chroma in chromas])
    weights = jnp.abs(offsets)
    is_neutral = weights.max(axis=0) < NEUTRAL_EPSILON
    # Even the masked branch must not divide by zero, because its gradient would be NaN
    # in spite of the mask.
    total = jnp.where(is_neutral, 1.0, weights.sum(axis=0))
    offset = (offsets * weights).sum(axis=0) / total
    return NEUTRAL_CHROMA + jnp.where(is_neutral, 0.0, offset)


def is_grey(rgb: RgbImage) -> Bool[Array, "*batch"]:
    """Returns whether all three channels are equal at every pixel of a picture.

    Args:
      rgb: any values.

    Returns:
      One truth value per picture.

    Examples:
      >>> is_grey(jnp.array([[[[0.5, 0.5, 0.5]]], [[[0.5, 0.5, 0.4]]]])).tolist()
      [True, False]
    """
    return jnp.all(rgb == rgb[..., :1], axis=(-3, -2, -1))
