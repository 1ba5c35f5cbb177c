"""Small charts as inline SVG: one metric, a row of dots for every method."""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

# Readable on white and on near-black, and distinguishable by the colour-blind (after
# Okabe and Ito). If there are more methods than colours, they repeat; each method has
# its row.
COLORS = (
    "#2f86d1",
    "#e0702a",
    "#14a37f",
    "#c46ba6",
    "#b58900",
    "#7d6ee0",
    "#48a9c5",
    "#8a8a8a",
)
WIDTH = 360  # of the view box, which the page scales
LEFT, RIGHT, TOP, BOTTOM = 12, 12, 6, 20  # margins
ROW, SPREAD = 30, 8  # height of a method's row; how far dots stray from its middle
STEPS = (1, 2, 2.5, 5, 10)
UNDEFINED = '<svg viewBox="0 0 360 24"><text x="4" y="16">undefined</text></svg>'

# From a value to x in the view box.
Place = Callable[[float], float]


def chart(
    stems: Sequence[str],
    methods: Mapping[str, Float[np.ndarray, " images"]],
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Draws a strip per method: a dot per picture, the mean, and its interval.

    The height of a dot within its strip means nothing; it keeps dots apart.

    Args:
      stems: name of each picture.
      methods: values by method; values that are not finite are left out.
      intervals: the ends of the mean's interval by method; NaN or absent: not drawn.

    Returns:
      An `svg` element; each dot names its method, picture and value.
    """
    ends = span(methods.values())
    if ends is None:
        return UNDEFINED
    low, high = ends

    def place(value: float) -> float:
        share = (value - low) / (high - low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    height = TOP + ROW * len(methods) + BOTTOM
    parts = [_axis(place, low, high, height)]
    for i, (name, values) in enumerate(methods.items()):
        middle = TOP + ROW * (i + 0.5)
        for k, (stem, value) in enumerate(zip(stems, values.tolist(), strict=True)):
            if math.isfinite(value):
                # Multiples of the golden ratio lie evenly, whatever their number.
                y = round(middle + SPREAD * (2 * (0.618034 * k % 1) - 1), 1)
                parts.append(
                    f'<circle cx="{place(value)}" cy="{y}" r="3" fill="{color(i)}" '
                    f'data-pair="{html.escape(stem)}"><title>'
                    f"{html.escape(f'{name}, {stem}: {value:.4g}')}</title></circle>"
                )
        parts.append(_mean(place, values, middle, (intervals or {}).get(name)))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img">' + "".join(parts) + "</svg>"
    )


def color(index: int) -> str:
    """Returns the colour of a method.

    Args:
      index: number of the method, from 0.

    Returns:
      A CSS colour.

    Examples:
      >>> color(0), color(len(COLORS))
      ('#2f86d1', '#2f86d1')
    """
    return COLORS[index % len(COLORS)]


def _mean(
    place: Place,
    values: Float[np.ndarray, " images"],
    middle: float,
    interval: tuple[float, float] | None,
) -> str:
    """Draws the mean as an upright line, and its interval as one that lies."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    x, top, bottom = place(float(finite.mean())), middle - 12, middle + 12
    parts = [f'<line class="mean" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>']
    if interval is not None and np.isfinite(interval).all():
        left, right = (place(end) for end in interval)
        parts.append(
            f'<line class="interval" x1="{left}" x2="{right}" y1="{middle}" '
            f'y2="{middle}"/>'
        )
    return "".join(parts)


def _axis(place: Place, low: float, high: float, height: int) -> str:
    parts = []
    for tick in ticks(low, high):
        x = place(tick)
        parts.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}"/>'
            f'<text x="{x}" y="{height - 6}" text-anchor="middle">{tick:.6g}</text>'
        )
    return "".join(parts)


def span(values: Iterable[np.ndarray]) -> tuple[float, float] | None:
    """Returns the ends of an axis that holds all values, with a margin.

    Args:
      values: arrays; what is not finite in them is left out.

    Returns:
      The lower and the upper end; None if nothing is finite.

    Examples:
      >>> span([np.array([0.0, 10.0]), np.array([np.nan, 20.0])])
      (-1.0, 21.0)
    """
    finite = np.concatenate([x[np.isfinite(x)] for x in values] or [np.empty(0)])
    if not len(finite):
        return None
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float) -> list[float]:
    """Returns three to seven round numbers between two others.

    Args:
      low, high: what they lie between.

    Examples:
      >>> ticks(1.0, 99.0)
      [20.0, 40.0, 60.0, 80.0]
    """
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [x * power for x in STEPS]
    # The nearest by ratio: the smallest step above would give two ticks at times.
    step = min(steps, key=lambda x: abs(math.log(x / raw)))
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
