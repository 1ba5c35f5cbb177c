"""Part `scale`: cost against picture size and batch size."""

import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
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
    """Measures time and memory as the work grows, each size in its own process.

    Args:
      settings: of the command line.

    Returns:
      One table for picture sizes, one for batch sizes.
    """
    return [pixels(settings), batches(settings)]


def pixels(settings: Settings) -> Table:
    """Measures F on one pair of growing size.

    Args:
      settings: of the command line.

    Returns:
      A table.
    """

    def of_size(megapixels: float) -> Row:
        height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
        width = round(megapixels * 1e6 / height)
        with scratch() as folder:
            material.write_weights(folder)
            material.write_pair(folder, 1, height, width)
            row = cost(settings, "speed.ours:Inference", folder, height * width)
        return {"megapixels": megapixels, "size": f"{width} x {height}", **row}

    sizes = [x for x in MEGAPIXELS if x <= settings.max_megapixels]
    cases = {f"{x} megapixels": partial(of_size, x) for x in sizes}
    return table_of("F on one pair against its size", cases)


def batches(settings: Settings) -> Table:
    """Measures F and the fusion step on batches of growing size.

    Args:
      settings: of the command line.

    Returns:
      A table.
    """

    def forward(batch: int) -> Row:
        with scratch() as folder:
            material.write_weights(folder)
            material.write_pair(folder, batch, SIZE, SIZE)
            row = cost(settings, "speed.ours:Forward", folder, batch * SIZE**2)
        return {"work": "F, jitted forward", "batch": batch, **row}

    def fusion_step(batch: int) -> Row:
        with scratch() as folder:
            material.write_weights(folder)
            material.write_batches(folder, batch, SIZE)
            row = cost(settings, OURS, folder, batch * SIZE**2, step="fusion")
        return {"work": "fusion step", "batch": batch, **row}

    counts = [x for x in BATCHES if x <= settings.max_batch]
    cases = {f"F on {x} pairs": partial(forward, x) for x in counts}
    cases |= {f"fusion step on {x} pairs": partial(fusion_step, x) for x in counts}
    return table_of(f"Batches of {SIZE} x {SIZE}", cases)


def table_of(title: str, cases: Mapping[str, Callable[[], Row]]) -> Table:
    """Makes a table of costs, without the cases a machine is too small for.

    Args:
      title: what was measured.
      cases: functions that each measure one row, by name.

    Returns:
      A table; its notes name the cases that failed.

    Raises:
      RuntimeError: if all of them did.
    """
    rows: list[Row] = []
    notes = [UNITS]
    for name, measure_row in cases.items():
        try:
            rows.append(measure_row())
        except RuntimeError as error:
            notes.append(f"{name}: {error}")
    if not rows:
        raise RuntimeError(notes[-1])
    return Table(title, rows, notes)


UNITS = (
    "Peak: resident memory of the runs after the first, which compiles, less what the "
    "process held before it. Steps run as train.py runs them."
)


def cost(
    settings: Settings, factory: str, folder: Path, pixels: int, **options: Any
) -> Row:
    """Measures the time and memory of one contender, in a process of its own.

    Args:
      settings: of the command line.
      factory: "module:function" of the contender.
      folder: with weights and pictures.
      pixels: it works on.
      **options: of the factory.

    Returns:
      Columns of the table; see UNITS.
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
        "microseconds per pixel": 1e6 * median / pixels,
        "peak, MiB": peak / 2**20,
        "bytes per pixel": peak / pixels,
    }
