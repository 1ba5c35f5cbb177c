"""Plots of logged scalars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def plot_curves(
    lines: Sequence[Mapping[str, Any]], curves: Mapping[str, tuple[str, str]]
) -> np.ndarray:
    """Plots logged scalars over steps on a logarithmic scale.

    Args:
      lines: the lines of a scalars.jsonl, parsed.
      curves: (stage, name of the scalar) by label.

    Returns:
      A picture, uint8, height x width x 3.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for label, (stage, name) in curves.items():
        points = [(x["step"], x[name]) for x in lines if x["stage"] == stage]
        marker = "o" if stage == "validation" else ""
        axes.plot(*zip(*points, strict=True), marker=marker, label=label)
    axes.set(xlabel="step", yscale="log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
