"""Named rules that choose which levels become black and white beyond 8 bits.

A thermal camera stores temperatures somewhere within 0..65535, often in a narrow band.
Which levels become black and white is a choice:

- `full`: 0 and 65535. A level is the same grey in every picture. Floats, signed and
  32-bit integers have no such scale and need another rule.
- `min-max`: the smallest and the largest level of the picture.
- `percentile`: the 1st and the 99th percentile of the picture, which ignores dead
  pixels.
- `auto`: `full` for pictures of 16 bits that use a quarter of the scale or more, else
  `percentile`.
- `LOW:HIGH`, as in `28000:33000` or `-20:45.5`: explicit bounds, the same for every
  picture.

Levels beyond the bounds are clipped. Under `min-max`, `percentile` and `auto` the
brightness of different pictures cannot be compared. The rules apply to pictures without
colour; 16-bit colour is always read in full.
"""

import math
import re

import numpy as np

from refusion_jax.pictures.names import LEVELS
from refusion_jax.pictures.notes import RangeWarning, note

PERCENTILES = (1, 99)
MAX_LEVEL = 65535
LITTLE = 0.25  # share of the scale below which a 16-bit picture is reported

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUNDS = re.compile(f"({_NUMBER}):({_NUMBER})", re.ASCII)


def check_rule(rule: str) -> None:
    """Raises unless `rule` is one of `names.LEVELS` or LOW:HIGH.

    Args:
      rule: the name of a range rule.

    Raises:
      ValueError: if there is no such rule, listing the rules.

    Examples:
      >>> check_rule("28000:33000")
      >>> check_rule("-20:45.5")
      >>> check_rule("33000:28000")  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ValueError: expected a range rule (full, ..., got '33000:28000'; choose one ...
    """
    if rule not in LEVELS:
        _explicit_bounds(rule)


def is_coloured(pixels: np.ndarray) -> bool:
    """Returns whether the channels of a picture differ anywhere.

    Args:
      pixels: (height, width), or (height, width, 3).

    Examples:
      >>> is_coloured(np.array([[(7, 7, 7), (7, 7, 8)]], np.uint8))
      True
    """
    return pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())


def unit_of(pixels: np.ndarray, rule: str = "full", name: str = "") -> np.ndarray:
    """Maps pixels of any depth to [0, 1]; of those beyond 8 bits by a range rule.

    Args:
      pixels: (height, width) or (height, width, 3). uint8; uint16; float64, measured
        values without a scale; float32, which is in [0, 1] already.
      rule: one of `names.LEVELS`, or LOW:HIGH.
      name: name of the picture for messages.

    Returns:
      float32, or float64 for measured values and 16 bits, of the pixels' shape.

    Raises:
      ValueError: if there is no such rule, or measured values have no bounds.

    Warns:
      RangeWarning: if 16 bits are read in full and use little of the scale.

    Examples:
      >>> unit_of(np.array([[0, 51, 255]], np.uint8))
      array([[0. , 0.2, 1. ]], dtype=float32)
      >>> unit_of(np.array([[-20.0, 0.0, 20.0]]), "-20:20")
      array([[0. , 0.5, 1. ]])
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255
    if pixels.dtype == np.float32:
        return pixels
    if pixels.dtype == np.uint16 and is_coloured(pixels):
        return to_fraction(pixels)
    if pixels.dtype == np.uint16 and rule == "full":
        _report_little(pixels, name)
    try:
        return to_fraction(pixels, rule)
    except ValueError as error:
        raise ValueError(f"{name}: {error}" if name else str(error)) from None


def to_8_bit(levels: np.ndarray, rule: str = "full") -> np.ndarray:
    """Maps levels to 0..255.

    Args:
      levels: as for `to_fraction`.
      rule: one of `names.LEVELS`, or LOW:HIGH.

    Returns:
      uint8, 255 times `to_fraction`, rounded.

    Raises:
      ValueError: as `to_fraction` does.

    Examples:
      >>> to_8_bit(np.array([0, 28000, 30500, 40000], np.uint16), "28000:33000")
      array([  0,   0, 128, 255], dtype=uint8)
    """
    return np.rint(to_fraction(levels, rule) * 255).astype(np.uint8)


def to_fraction(levels: np.ndarray, rule: str = "full") -> np.ndarray:
    """Maps levels to [0, 1], keeping their precision.

    Args:
      levels: uint16, or measured values of another type; of any shape.
      rule: one of `names.LEVELS`, or LOW:HIGH.

    Returns:
      float64, (level - low) / (high - low) between the bounds; 0 everywhere if the rule
      derives the bounds from the picture and finds them equal.

    Raises:
      ValueError: if there is no such rule, or none that fits measured values.

    Examples:
      >>> to_fraction(np.array([1000, 1500, 3000], np.uint16), "min-max")
      array([0.  , 0.25, 1.  ])
      >>> to_fraction(np.array([-20.0, 21.5]))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ValueError: expected a range rule for values of -20 to 21.5, got 'full', ...
    """
    is_scaled = levels.dtype == np.uint16
    if rule == "auto":
        is_full = is_scaled and np.ptp(levels) >= LITTLE * MAX_LEVEL
        rule = "full" if is_full else "percentile"
    if rule == "full" and is_scaled:
        low, high = 0.0, float(MAX_LEVEL)
    elif rule == "full":
        raise ValueError(
            f"expected a range rule for values of {levels.min():.6g} to "
            f"{levels.max():.6g}, got 'full', which needs unsigned 8 or 16 bits; "
            "choose levels=min-max, percentile, auto or LOW:HIGH."
        )
    elif rule == "min-max":
        low, high = float(levels.min()), float(levels.max())
    elif rule == "percentile":
        low, high = (float(bound) for bound in np.percentile(levels, PERCENTILES))
    else:
        low, high = _explicit_bounds(rule)
    if high <= low:
        return np.zeros(levels.shape)
    return np.clip((levels.astype(np.float64) - low) / (high - low), 0, 1)


def _report_little(pixels: np.ndarray, name: str) -> None:
    low, high = int(pixels.min()), int(pixels.max())
    # A flat picture has no range that another rule could show.
    if 0 < high - low < LITTLE * MAX_LEVEL:
        note(
            f"{name or 'a 16-bit source'} uses the levels {low} to {high} of "
            f"{MAX_LEVEL}, so it is nearly flat under levels=full; choose levels=auto, "
            f"or for a series of pictures LOW:HIGH, such as {low}:{high}.",
            RangeWarning,
        )


def numbers_of(rule: str) -> tuple[float, float] | None:
    """Returns the two numbers of a rule such as LOW:HIGH; None if it is no such rule.

    Args:
      rule: as a user typed it.

    Examples:
      >>> numbers_of("-20:45.5")
      (-20.0, 45.5)
    """
    match = _BOUNDS.fullmatch(rule)
    if match is None:
        return None
    first, second = float(match[1]), float(match[2])
    return (first, second) if math.isfinite(first) and math.isfinite(second) else None


def _explicit_bounds(rule: str) -> tuple[float, float]:
    numbers = numbers_of(rule)
    if numbers is not None and numbers[0] < numbers[1]:
        return numbers
    raise ValueError(
        f"expected a range rule ({', '.join(LEVELS)}, or LOW:HIGH with LOW < HIGH), "
        f"got {rule!r}; choose one of these."
    )


def average(luminance_a: np.ndarray, luminance_b: np.ndarray) -> np.ndarray:
    """Returns the mean of two pictures, with halves rounded up.

    Args:
      luminance_a, luminance_b: uint8, of one shape.

    Returns:
      floor((a + b + 1) / 2), uint8.

    Examples:
      >>> average(np.array([0, 7, 255], np.uint8), np.array([1, 9, 255], np.uint8))
      array([  1,   8, 255], dtype=uint8)
    """
    wide_a, wide_b = luminance_a.astype(np.uint16), luminance_b.astype(np.uint16)
    return ((wide_a + wide_b + 1) // 2).astype(np.uint8)
