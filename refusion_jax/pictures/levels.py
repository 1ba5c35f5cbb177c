"""16-bit levels to black and white, by a rule that is named.

A thermal camera stores temperatures somewhere within 0..65535, often in a narrow band;
which levels become black and white is a choice:

- `full`: 0 and 65535. The same level is the same grey in every picture.
- `min-max`: the picture's own smallest and largest level.
- `percentile`: the picture's own 1st and 99th percentile, which ignores dead pixels.
- `LOW:HIGH`, as in `28000:33000`: explicit bounds, the same for every picture.

Levels beyond the bounds are clipped. `min-max` and `percentile` make the brightness of
one picture say nothing about that of another.
"""

import numpy as np

RULES = ("full", "min-max", "percentile")
PERCENTILES = (1, 99)
MAX_LEVEL = 65535


def check_rule(rule: str) -> None:
    """Refuses what is no range rule.

    Args:
      rule: one of `RULES`, or LOW:HIGH.

    Raises:
      ValueError: listing the rules.
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
    """
    return np.rint(to_fraction(levels, rule) * 255).astype(np.uint8)


def to_fraction(levels: np.ndarray, rule: str = "full") -> np.ndarray:
    """Maps 16-bit levels to [0, 1], keeping their precision.

    Args:
      levels: integers in 0..65535, of any shape.
      rule: one of `RULES`, or LOW:HIGH.

    Returns:
      float64, (level - low) / (high - low) between the bounds; all 0 where the rule
      takes both bounds from a picture of one level.

    Raises:
      ValueError: if there is no such rule.
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
