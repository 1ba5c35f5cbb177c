"""Pictures for the browser: 8-bit PNG at full size, thumbnails, facts."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from refusion_jax.pictures.levels import LITTLE, MAX_LEVEL, to_fraction
from refusion_jax.pictures.photographs import Photograph

THUMB = 240  # pixels, the longer side


def eight_bits(unit: np.ndarray) -> np.ndarray:
    """Rounds a picture to what a browser shows.

    Args:
      unit: floats in [0, 1].
    """
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def write_view(path: Path, picture: np.ndarray) -> None:
    """Writes a PNG, quickly rather than small: it does not leave this machine.

    Args:
      path: the file.
      picture: uint8, (height, width) or (height, width, 3).
    """
    Image.fromarray(picture).save(path, format="PNG", compress_level=1)


def thumb_of(photograph: Photograph) -> bytes:
    """Returns a small PNG of a picture, by percentiles if it has more than 8 bits.

    Args:
      photograph: of any depth.
    """
    pixels = photograph.pixels
    step = max(1, max(pixels.shape[:2]) // (4 * THUMB))
    small = pixels[::step, ::step]
    if small.dtype in (np.uint16, np.float64):
        small = eight_bits(to_fraction(small, "percentile"))
    elif small.dtype == np.float32:
        small = eight_bits(small)
    image = Image.fromarray(small)
    image.thumbnail((THUMB, THUMB))
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    return encoded.getvalue()


def describe(photograph: Photograph) -> dict[str, Any]:
    """Returns size, depth, colour and range of a picture as JSON values.

    Args:
      photograph: of any depth.
    """
    pixels = photograph.pixels
    height, width = pixels.shape[:2]
    depths = {"uint8": "8 bit", "uint16": "16 bit", "float64": "measured values"}
    low, high = float(pixels.min()), float(pixels.max())
    is_narrow = pixels.dtype == np.float64 or (
        pixels.dtype == np.uint16
        and not photograph.is_coloured
        and 0 < high - low < LITTLE * MAX_LEVEL
    )
    return {
        "width": width,
        "height": height,
        "depth": depths.get(str(pixels.dtype), "float"),
        "is_coloured": photograph.is_coloured,
        "low": low,
        "high": high,
        "is_narrow": is_narrow,
    }
