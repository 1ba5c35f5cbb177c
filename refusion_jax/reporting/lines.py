"""Line charts as inline SVG: a number over the epochs of several runs."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from refusion_jax.reporting.charts import (
    COLORS,
    UNDEFINED,
    WIDTH,
    color,
    span,
    ticks,
)

HEIGHT = 200  # of the view box, which the page scales
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 20  # margins
DASHES = ("none", "6 3", "2 2")


def line_chart(lines: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Draws the mean of each name's runs over the epochs, and a band from end to end.

    Args:
      lines: for each name, the values of each run, from epoch 0 on; values that are not
        finite are left out. Runs may differ in length: each epoch has its own mean.

    Returns:
      An `svg` element; each line names what it belongs to.
    """
    bands = {name: _band(runs) for name, runs in lines.items()}
    ends = span(bands.values())
    if ends is None:
        return UNDEFINED
    low, high = ends
    last = max(1, max(band.shape[1] for band in bands.values()) - 1)

    def point(epoch: int, value: float) -> str:
        x = LEFT + epoch / last * (WIDTH - LEFT - RIGHT)
        return f"{x:.1f},{_y(value, low, high):.1f}"

    parts = [_axes(low, high, last)]
    for number, (name, (smallest, mean, largest)) in enumerate(bands.items()):
        seen = np.flatnonzero(np.isfinite(mean)).tolist()
        there = [point(x, largest[x]) for x in seen]
        back = [point(x, smallest[x]) for x in reversed(seen)]
        middle = [point(x, mean[x]) for x in seen]
        parts.append(
            f'<g stroke="{color(number)}" fill="{color(number)}">'
            f"<title>{html.escape(name)}</title>"
            f'<polygon stroke="none" fill-opacity="0.15" '
            f'points="{" ".join(there + back)}"/>'
            f'<polyline fill="none" stroke-width="1.6" points="{" ".join(middle)}" '
            f'stroke-dasharray="{_dash(number)}"/></g>'
        )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def legend(names: Sequence[str]) -> str:
    """Returns a paragraph that says which line is whose.

    Args:
      names: as `line_chart` got them.
    """
    entries = "".join(
        f'<span><svg viewBox="0 0 18 7"><line x1="0" x2="18" y1="3.5" y2="3.5" '
        f'stroke="{color(number)}" stroke-width="2" '
        f'stroke-dasharray="{_dash(number)}"/></svg> {html.escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<p class="legend">{entries}</p>'


def _band(runs: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns smallest value, mean and largest by epoch, as three rows."""
    length = max(map(len, runs), default=0)
    padded = [[*run, *[np.nan] * (length - len(run))] for run in runs]
    columns = np.array(padded, float).reshape(len(runs), length).T
    kept = [column[np.isfinite(column)] for column in columns]
    ends = [(x.min(), x.mean(), x.max()) if len(x) else [np.nan] * 3 for x in kept]
    return np.array(ends, float).reshape(length, 3).T


def _axes(low: float, high: float, last: int) -> str:
    parts = []
    for tick in ticks(low, high):
        y = round(_y(tick, low, high), 1)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text x="{LEFT - 4}" y="{y + 3}" text-anchor="end">{tick:.6g}</text>'
        )
    for epoch in dict.fromkeys((0, last)):
        x = LEFT + epoch / last * (WIDTH - LEFT - RIGHT)
        anchor = "end" if epoch else "start"
        place = f'x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}"'
        parts.append(f"<text {place}>epoch {epoch}</text>")
    return "".join(parts)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _dash(number: int) -> str:
    """Tells lines apart whose colours repeat."""
    return DASHES[number // len(COLORS) % len(DASHES)]
