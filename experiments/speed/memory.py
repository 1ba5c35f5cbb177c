"""Part `memory`: memory of the contenders' processes, XLA's plan of the meta-step."""

import sys

from speed import material, training
from speed.contest import Entry, Worker, one_worker
from speed.inference import EAGER, TUNED, prepare
from speed.results import Row, Table
from speed.settings import Settings, scratch

RUNS = 3


def measure(settings: Settings) -> list[Table]:
    """Measures the peak memory of fusing and of training, and the bytes XLA plans for.

    Args:
      settings: of the command line.

    Returns:
      One table per size, one of the growth with the size, one per step, one of the
      modes of the meta-gradient.
    """
    tables = []
    of_sizes: dict[int, list[Row]] = {}
    for height, width in settings.sizes:
        with scratch() as folder:
            rows = peaks(prepare(settings, folder, height, width), height * width)
        of_sizes[height * width] = rows
        title = f"Peak memory of F on one pair of {width} x {height}"
        tables.append(Table(title, with_target(rows, {EAGER: 4, TUNED: 4}), NOTES))
    if len(of_sizes) > 1:
        tables.append(further_pixels(of_sizes))
    pixels = training.BATCH * training.SIZE**2
    with scratch() as folder:
        material.write_weights(folder)
        material.write_batches(folder, training.BATCH, training.SIZE)
        for name, contenders in (
            ("meta-step", training.meta_contenders),
            ("fusion step", training.fusion_contenders),
        ):
            entries = settings.select(contenders(folder))
            title = (
                f"Peak memory of a {name}, batch {training.BATCH} of "
                f"{training.SIZE} x {training.SIZE}"
            )
            tables.append(Table(title, peaks(entries, pixels), NOTES))
        tables.append(temporaries(str(folder)))
    return tables


NOTES = (
    "Resident memory of a fresh process, less what it held with libraries, weights and "
    "pictures loaded. The first run includes compilation; later runs: the peak of "
    f"{RUNS} runs after it, Linux's counter set back before.",
)


def peaks(entries: list[Entry], pixels: int) -> list[Row]:
    """Measures the bytes per pixel of each contender alone.

    Args:
      entries: of a contest.
      pixels: of its pictures.

    Returns:
      One row per contender.
    """
    rows: list[Row] = []
    for entry in entries:
        with Worker(entry.environment) as worker, scratch() as folder:
            print(f"benchmark: memory of {entry.name}", file=sys.stderr)
            try:
                worker.ask(
                    "make", factory=entry.factory, arguments=dict(entry.arguments)
                )
            except ImportError as error:
                print(f"benchmark: {entry.name} is left out: {error}", file=sys.stderr)
                continue
            start = worker.ask("memory")["now"]
            worker.ask("first", path=str(folder / "values.npz"))
            first = worker.ask("memory")["peak"] - start
            worker.ask("forget_peak")
            for _ in range(RUNS):
                worker.ask("time", least_seconds=0)
            later = worker.ask("memory")["peak"] - start
        rows.append(
            {
                "contender": entry.name,
                "first run, MiB": first / 2**20,
                "later runs, MiB": later / 2**20,
                "bytes per pixel": later / pixels,
                "ratio": later / (rows[0]["bytes per pixel"] * pixels) if rows else 1.0,
            }
        )
    return rows


def further_pixels(of_sizes: dict[int, list[Row]]) -> Table:
    """Computes the memory per further pixel, free of a library's base cost.

    Args:
      of_sizes: rows of `peaks` by number of pixels, of at least two sizes.

    Returns:
      A table.
    """
    few, many = min(of_sizes), max(of_sizes)
    pairs = list(zip(of_sizes[few], of_sizes[many], strict=True))
    growths = [
        (b["bytes per pixel"] * many - a["bytes per pixel"] * few) / (many - few)
        for a, b in pairs
    ]
    return Table(
        "Memory of each further pixel",
        [
            {
                "contender": row["contender"],
                "bytes": growth,
                "ratio": growth / growths[0],
            }
            for (row, _), growth in zip(pairs, growths, strict=True)
        ],
        [f"Between {few:,} and {many:,} pixels: growth of the later runs' peak."],
    )


def with_target(rows: list[Row], targets: dict[str, float]) -> list[Row]:
    """Adds the column of targets to rows.

    Args:
      rows: of `peaks`.
      targets: least ratio to the first row, by contender.

    Returns:
      New rows.
    """
    return [
        {
            **row,
            "target": f"at least {targets[row['contender']]:g}"
            if row["contender"] in targets
            else "",
        }
        for row in rows
    ]


def temporaries(folder: str) -> Table:
    """Reports the memory XLA plans for the meta-step in its two exact modes.

    Args:
      folder: with weights and batches.

    Returns:
      A table.
    """
    found = {}
    for mode in ("exact", "reverse"):
        with one_worker() as call:
            found[mode] = call(
                "speed.ours:compile_step", folder=folder, step="meta", mode=mode
            )["temporaries"]
    return Table(
        "Temporaries of the compiled meta-step (`temp_size_in_bytes`), one device",
        [
            {
                "mode": mode,
                "MiB": count / 2**20,
                "share of reverse": count / found["reverse"],
                "target": "at most 0.33" if mode == "exact" else "",
            }
            for mode, count in found.items()
        ],
    )
