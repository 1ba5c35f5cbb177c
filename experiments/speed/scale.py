"""Part `scale`: our cost against pixels and batch."""

import statistics
import sys
from pathlib import Path
from typing import Any

from speed import material
from speed.contest import HUGE_PAGES, LEAST_SECONDS, Worker
from speed.results import Row, Table
from speed.settings import Settings, scratch
from speed.training import OURS, SIZE

MEGAPIXELS = (0.1, 0.3, 1, 3, 6, 12, 24)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def measure(settings: Settings) -> list[Table]:
    """Time and memory as the work grows, each size in a process of its own.

    Args:
      settings: of the command line, with the largest sizes.

    Returns:
      Tables of pixels and of batches.
    """
    return [pixels(settings), batches(settings)]


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
            row = cost(settings, "speed.ours:Inference", folder, height * width)
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
            row = cost(settings, "speed.ours:Forward", folder, count)
            rows.append({"work": "F, jitted forward", "batch": batch, **row})
            material.write_batches(folder, batch, SIZE)
            row = cost(settings, OURS, folder, count, step="fusion")
            rows.append({"work": "fusion step", "batch": batch, **row})
    rows.sort(key=lambda row: row["work"])
    return Table(f"Batches of {SIZE} x {SIZE}", rows, [UNITS])


UNITS = (
    "Peak: resident memory of later runs, compilation not among them, less what the "
    "process held before its first run. Steps run as train.py runs them."
)


def cost(
    settings: Settings, factory: str, folder: Path, pixels: int, **options: Any
) -> Row:
    """Time and memory of one contender, in a process of its own.

    Args:
      settings: of the command line.
      factory: "module:function" of the contender.
      folder: with weights and pictures.
      pixels: that it works on.
      **options: of the factory.

    Returns:
      Columns of a table, see UNITS.
    """
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
