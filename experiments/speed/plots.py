"""Plots of cost against size, one panel per table."""

from collections.abc import Sequence
from pathlib import Path

from speed.results import Row, Table

# The column on a panel's horizontal axis, and the one that separates its lines.
PANELS = {"megapixels": None, "batch": "work", "inner steps": "mode"}


def draw(tables: Sequence[Table], path: Path) -> None:
    """Draws seconds and memory against size, on logarithmic axes.

    Args:
      tables: of part `scale` or `modes`.
      path: of the SVG file; the same tables always give the same bytes.
    """
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "refusion", "svg.fonttype": "none"})
    figure, axes = plt.subplots(
        2,
        len(tables),
        figsize=(4 * len(tables), 6),
        layout="constrained",
        squeeze=False,
    )
    for column, table in enumerate(tables):
        over, by = next(x for x in PANELS.items() if x[0] in table.rows[0])
        for axis, value in zip(axes[:, column], ("seconds", "peak, MiB"), strict=True):
            for name, rows in _lines(table.rows, by).items():
                axis.plot(
                    [row[over] for row in rows],
                    [row[value] for row in rows],
                    marker="o",
                    label=name,
                )
            axis.set(xlabel=over, ylabel=value, xscale="log", yscale="log")
            axis.grid(alpha=0.3)
            if by:
                axis.legend(fontsize="small")
        axes[0, column].set_title(table.title, fontsize="medium")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _lines(rows: Sequence[Row], by: str | None) -> dict[str, list[Row]]:
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(str(row[by]) if by else "", []).append(row)
    return lines
