"""Part `scale`: our cost against pixels, batch, and the inner steps of each mode."""

import statistics
import sys
from pathlib import Path
from typing import Any

from speed import material
from speed.contest import HUGE_PAGES, LEAST_SECONDS, Worker, one_worker
from speed.results import Row, Table
from speed.settings import Settings, scratch
from speed.training import BATCH, OURS, SIZE

MEGAPIXELS = (0.1, 0.3, 1, 3, 6, 12, 24)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
INNER_STEPS = (1, 2, 4, 8)
MODES = ("exact", "first_order", "finite_difference", "stopped")


def measure(settings: Settings) -> list[Table]:
    """Time and memory as the work grows, each size in a process of its own.

    Args:
      settings: of the command line, with the largest sizes.

    Returns:
      Tables of pixels, of batches, and of modes and inner steps.
    """
    return [pixels(settings), batches(settings), inner_steps(settings)]


def pixels(settings: Settings) -> Table:
    """F on one pair of growing size.

    Args:
      settings: of the command line.

    Returns:
      A table.
    """
    rows: list[Row] = []
    for megapixels in MEGAPIXELS:
        if megapixels > settings.max_megapixels:
            break
        height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
        width = round(megapixels * 1e6 / height)
        with scratch() as folder:
            material.write_weights(folder)
            material.write_pair(folder, 1, height, width)
            row = _row(settings, "speed.ours:Inference", folder, height * width)
        rows.append({"megapixels": megapixels, "size": f"{width} x {height}", **row})
    return Table("F on one pair against its size", rows, [UNITS])


def batches(settings: Settings) -> Table:
    """F and the fusion step on batches of growing size.

    Args:
      settings: of the command line.

    Returns:
      A table.
    """
    rows: list[Row] = []
    for batch in BATCHES:
        if batch > settings.max_batch:
            break
        count = batch * SIZE**2
        with scratch() as folder:
            material.write_weights(folder)
            material.write_pair(folder, batch, SIZE, SIZE)
            row = _row(settings, "speed.ours:Forward", folder, count)
            rows.append({"work": "F, jitted forward", "batch": batch, **row})
            material.write_batches(folder, batch, SIZE)
            row = _row(settings, OURS, folder, count, step="fusion")
            rows.append({"work": "fusion step", "batch": batch, **row})
    rows.sort(key=lambda row: row["work"])
    return Table(f"Batches of {SIZE} x {SIZE}", rows, [UNITS])


def inner_steps(settings: Settings) -> Table:
    """Every mode of the meta-gradient; `reverse`, which alone can, with more steps.

    Args:
      settings: of the command line.

    Returns:
      A table.
    """
    cases = [(mode, 1) for mode in MODES]
    cases += [("reverse", k) for k in INNER_STEPS if k <= settings.max_inner_steps]
    rows: list[Row] = []
    for mode, count in cases:
        options = {"step": "meta", "mode": mode, "inner_steps": count}
        with scratch() as folder:
            material.write_weights(folder)
            material.write_batches(folder, BATCH, SIZE)
            row = _row(settings, OURS, folder, BATCH * SIZE**2, **options)
            with one_worker() as call:
                compiled = call(
                    "speed.ours:compile_step", folder=str(folder), **options
                )
        rows.append(
            {
                "mode": mode,
                "inner steps": count,
                **row,
                "temporaries on one device, MiB": compiled["temporaries"] / 2**20,
            }
        )
    title = f"Meta-step, batch {BATCH} of {SIZE} x {SIZE}"
    return Table(title, rows, [UNITS])


UNITS = (
    "Peak: resident memory of later runs, compilation not among them, less what the "
    "process held before its first run. Steps run as train.py runs them."
)


def _row(
    settings: Settings, factory: str, folder: Path, pixels: int, **options: Any
) -> Row:
    print(f"benchmark: {factory}, {pixels} pixels, {options}", file=sys.stderr)
    with Worker(HUGE_PAGES if factory == OURS else {}) as worker:
        arguments = {"folder": str(folder), **options}
        worker.ask("make", factory=factory, arguments=arguments)
        start = worker.ask("memory")["now"]
        first = worker.ask("first", path=str(folder / "values.npz"))
        worker.ask("forget_peak")
        seconds = [
            worker.ask("time", least_seconds=LEAST_SECONDS)[0]
            for _ in range(settings.rounds)
        ]
        peak = worker.ask("memory")["peak"] - start
    median = statistics.median(seconds)
    return {
        "seconds": median,
        "first run": first,
        "microseconds a pixel": 1e6 * median / pixels,
        "peak, MiB": peak / 2**20,
        "bytes a pixel": peak / pixels,
    }
