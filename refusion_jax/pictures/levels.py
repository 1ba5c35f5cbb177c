"""Named rules that choose which 16-bit levels become black and white.

A thermal camera stores temperatures somewhere within 0..65535, often in a narrow band.
Which levels become black and white is a choice:

- `full`: 0 and 65535. A level is the same grey in every picture.
- `min-max`: the smallest and the largest level of the picture.
- `percentile`: the 1st and the 99th percentile of the picture, which ignores dead
  pixels.
- `LOW:HIGH`, as in `28000:33000`: explicit bounds, the same for every picture.

Levels beyond the bounds are clipped. Under `min-max` and `percentile` the brightness of
different pictures cannot be compared.
"""

import numpy as np

RULES = ("full", "min-max", "percentile")
PERCENTILES = (1, 99)
MAX_LEVEL = 65535


def check_rule(rule: str) -> None:
    """Raises unless `rule` is one of `RULES` or LOW:HIGH.

    Args:
      rule: the name of a range rule.

    Raises:
      ValueError: if there is no such rule, listing the rules.

    Examples:
      >>> check_rule("28000:33000")
      >>> check_rule("33000:28000")  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ValueError: expected a range rule (full, ..., got '33000:28000'; choose one ...
    """
    if rule not in RULES:
        _explicit_bounds(rule)


def to_8_bit(levels: np.ndarray, rule: str = "full") -> np.ndarray:
    """Maps 16-bit levels to 0..255.

    Args:
      levels: integers in 0..65535, of any shape.
      rule: one of `RULES`, or LOW:HIGH.

    Returns:
      uint8, 255 times `to_fraction`, rounded.

    Raises:
      ValueError: if there is no such rule.

    Examples:
      >>> to_8_bit(np.array([0, 28000, 30500, 40000]), "28000:33000")
      array([  0,   0, 128, 255], dtype=uint8)
    """
    return np.rint(to_fraction(levels, rule) * 255).astype(np.uint8)


def to_fraction(levels: np.ndarray, rule: str = "full") -> np.ndarray:
    """Maps 16-bit levels to [0, 1], keeping their precision.

    Args:
      levels: integers in 0..65535, of any shape.
      rule: one of `RULES`, or LOW:HIGH.

    Returns:
      float64, (level - low) / (high - low) between the bounds; 0 everywhere if the rule
      derives the bounds from the picture and finds them equal.

    Raises:
      ValueError: if there is no such rule.

    Examples:
      >>> to_fraction(np.array([1000, 1500, 3000]), "min-max")
      array([0.  , 0.25, 1.  ])
    """
    if rule == "full":
        low, high = 0.0, float(MAX_LEVEL)
    elif rule == "min-max":
        low, high = float(levels.min()), float(levels.max())
    elif rule == "percentile":
        low, high = (float(bound) for bound in np.percentile(levels, PERCENTILES))
    else:
        low, high = _explicit_bounds(rule)
    if high <= low:
        return np.zeros(levels.shape)
    return np.clip((levels.astype(np.float64) - low) / (high - low), 0, 1)


def _explicit_bounds(rule: str) -> tuple[float, float]:
    low, _, high = rule.partition(":")
    if low.isdecimal() and high.isdecimal() and int(low) < int(high) <= MAX_LEVEL:
        return float(low), float(high)
    raise ValueError(
        f"expected a range rule ({', '.join(RULES)}, or LOW:HIGH with 0 <= LOW < HIGH "
        f"<= {MAX_LEVEL}), got {rule!r}; choose one of these."
    )
