"""The table and the plot of `orders.py`."""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Found = Mapping[str, Mapping[str, Any]]  # by run and step
HEAD = (
    "case",
    "cosine with exact",
    "lowest",
    "relative error to exact",
    "largest",
    "length / exact's",
    "relative error to reverse of as many steps",
    "CPU seconds",
)


def to_page(found: Found) -> str:
    """Formats means over all runs, checkpoints and batches.

    Args:
      found: as `orders.py` keeps it.

    Returns:
      A table in Markdown, and what it is a mean of.
    """
    rows = [row for run in found.values() for x in run.values() for row in x["batches"]]
    lines = [_line(HEAD), "|---" * len(HEAD) + "|"]
    for case in dict.fromkeys(name for row in rows for name in row):
        seen = [row[case] for row in rows if case in row]
        exact = [x["exact"] for x in seen]
        cosines = [x["cosine"] for x in exact if x["cosine"] is not None]
        errors = [x["error"] for x in exact]
        oracle = [x["reverse"]["error"] for x in seen if x["reverse"]]
        seconds = [x["seconds"] for x in seen if "seconds" in x]
        cells = [
            f"{statistics.fmean(cosines):.4f}" if cosines else "0",
            f"{min(cosines):.4f}" if cosines else "0",
            f"{statistics.fmean(errors):.2e}",
            f"{max(errors):.2e}",
            f"{statistics.fmean(x['size'] for x in exact):.3f}",
            f"{statistics.fmean(oracle):.2e}" if oracle else "",
            f"{statistics.median(seconds):.2f}" if seconds else "",
        ]
        lines.append(_line([case.replace(":", ", K = "), *cells]))
    steps = "; ".join(
        f"{name}: {', '.join(sorted(run, key=int))}" for name, run in found.items()
    )
    lines += ["", f"{len(rows)} pairs of batches at these steps: {steps}."]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def draw(found: Found, path: Path) -> None:
    """Draws each case's distance from `exact` along the training.

    Args:
      found: as `orders.py` keeps it.
      path: of the SVG file; the same numbers always give the same bytes.
    """
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "refusion", "svg.fonttype": "none"})
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = sorted({int(step) for run in found.values() for step in run})
    rows = {
        step: [
            row
            for run in found.values()
            if str(step) in run
            for row in run[str(step)]["batches"]
        ]
        for step in steps
    }
    cases = dict.fromkeys(
        x for of_step in rows.values() for row in of_step for x in row
    )
    for case in cases:
        errors = [
            statistics.fmean(x[case]["exact"]["error"] for x in rows[step] if case in x)
            for step in steps
        ]
        if any(errors):
            axis.plot(steps, errors, marker="o", label=case.replace(":", ", K = "))
    axis.set(xlabel="step of the training", ylabel="relative distance from exact")
    axis.set_yscale("log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
