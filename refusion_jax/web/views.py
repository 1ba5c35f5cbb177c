"""Pictures for the browser: 8-bit PNG at full size, thumbnails, facts."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from refusion_jax.metrics import METRICS
from refusion_jax.pictures.levels import LITTLE, MAX_LEVEL, to_fraction
from refusion_jax.pictures.photographs import Photograph

THUMB = 240  # pixels, the longer side
_EXPOSURE = (
    ExifTags.Base.ExposureTime,
    ExifTags.Base.ISOSpeedRatings,
    ExifTags.Base.FNumber,
)
_DISTANCE = ExifTags.Base.SubjectDistance
BINS = 64  # of a histogram


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
    """Returns size, depth, colour, range and shot of a picture as JSON values.

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
        "histogram": _histogram(pixels) if pixels.ndim == 2 else None,
        **_shot_of(photograph.exif),
    }


def describe_scores(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Returns the scores of candidates, a row for each metric, as JSON values.

    Args:
      scores: by candidate, then by the key of the metric; the same keys in each.
    """
    rows = []
    for key in next(iter(scores.values())):
        metric = METRICS[key]
        values = [by_key[key] for by_key in scores.values()]
        rows.append(
            {
                "key": key,
                "title": metric.title,
                "unit": metric.unit,
                "higher_is_better": metric.higher_is_better,
                "formula": (metric.function.__doc__ or "").strip().partition("\n")[0],
                "values": [x if np.isfinite(x) else None for x in values],
            }
        )
    return {"candidates": list(scores), "rows": rows}


def _histogram(pixels: np.ndarray) -> list[int] | None:
    """Counts the levels of grey that has more than 8 bits, from the least to the most.

    These are what the rule `levels` is for.
    """
    if pixels.dtype not in (np.uint16, np.float64):
        return None
    finite = pixels[np.isfinite(pixels)]
    return [int(x) for x in np.histogram(finite, BINS)[0]] if finite.size else None


def _shot_of(exif: bytes | None) -> dict[str, float | None]:
    """Returns how much light a camera let in, and how far away it focused, by EXIF."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    shot = tags.get_ifd(ExifTags.IFD.Exif)

    def number(tag: int) -> float:
        try:
            value = float(shot.get(tag, 0))
        except (TypeError, ValueError, ZeroDivisionError):
            return 0.0
        return value if 0 < value < float("inf") else 0.0

    seconds, speed, aperture = map(number, _EXPOSURE)
    light = seconds * (speed or 100) / 100 / (aperture or 1) ** 2
    return {"exposure": light or None, "distance": number(_DISTANCE) or None}
