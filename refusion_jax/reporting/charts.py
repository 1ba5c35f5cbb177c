"""Small charts as inline SVG: one metric for every picture and every method."""

import html
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

# Readable on white and on near-black, and distinguishable by the colour-blind (after
# Okabe and Ito). If there are more methods than colours, dashed lines repeat them.
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
WIDTH, HEIGHT = 360, 170  # size of the view box, which the page scales
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 20  # margins
DOTS_UP_TO = 60  # pictures; beyond that a bare line is clearer and the page smaller

# From a picture's place in the order and its value to x and y in the view box.
Place = Callable[[int, float], tuple[float, float]]


def chart(
    stems: Sequence[str], methods: Mapping[str, Float[np.ndarray, " images"]]
) -> str:
    """Draws one line per method over the pictures, sorted by the first method's values.

    All methods share this order, so a method with a larger value than another on every
    picture has its line above the other's throughout.

    Args:
      stems: name of each picture.
      methods: values by method; values that are not finite are left out.

    Returns:
      An `svg` element; each dot names its method, picture and value.
    """
    first = next(iter(methods.values()))
    order = np.argsort(np.where(np.isfinite(first), first, np.inf), kind="stable")
    finite = np.concatenate([x[np.isfinite(x)] for x in methods.values()])
    if not len(finite):
        return '<svg viewBox="0 0 360 24"><text x="4" y="16">undefined</text></svg>'
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def place(position: int, value: float) -> tuple[float, float]:
        share = (position + 0.5) / len(order)
        return (
            round(LEFT + share * (WIDTH - LEFT - RIGHT), 1),
            round(
                HEIGHT
                - BOTTOM
                - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM),
                1,
            ),
        )

    parts = [_axis(place, low, high)]
    for i, (name, values) in enumerate(methods.items()):
        points = [
            (place(position, float(values[k])), stems[k], float(values[k]))
            for position, k in enumerate(order)
            if math.isfinite(values[k])
        ]
        parts.append(_line([xy for xy, _, _ in points], color(i), dash(i)))
        if len(order) <= DOTS_UP_TO:
            parts += [
                f'<circle cx="{x}" cy="{y}" r="2.6" fill="{color(i)}"><title>'
                f"{html.escape(f'{name}, {stem}: {value:.4g}')}</title></circle>"
                for (x, y), stem, value in points
            ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">' + "".join(parts) + "</svg>"
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


def dash(index: int) -> str:
    """Returns the dash pattern of a method's line.

    The first methods get solid lines; each further round of colours gets longer dashes.

    Args:
      index: number of the method, from 0.

    Returns:
      A value of `stroke-dasharray`.

    Examples:
      >>> dash(0), dash(len(COLORS)), dash(2 * len(COLORS))
      ('none', '3 3', '6 3')
    """
    turn = index // len(COLORS)
    return f"{3 * turn} 3" if turn else "none"


def _axis(place: Place, low: float, high: float) -> str:
    parts = []
    for tick in _ticks(low, high):
        _, y = place(0, tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text x="{LEFT - 5}" y="{y + 3.5}" text-anchor="end">{tick:.6g}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}" '
        'text-anchor="middle">pairs, sorted by the first method</text>'
    )
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Returns three to six round numbers between `low` and `high`."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(x * power for x in (1, 2, 5, 10) if x * power >= raw * 0.999)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _line(points: Sequence[tuple[float, float]], stroke: str, dashes: str) -> str:
    joined = " ".join(f"{x},{y}" for x, y in points)
    return (
        f'<polyline points="{joined}" fill="none" stroke="{stroke}" '
        f'stroke-width="1.2" stroke-dasharray="{dashes}" opacity="0.75"/>'
    )
