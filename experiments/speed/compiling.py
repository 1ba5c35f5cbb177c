"""Part `compile`: seconds until the first picture, and to compile each step."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from peers import files

from speed import material
from speed.contest import one_worker
from speed.results import Row, Table
from speed.rounds import interleave
from speed.settings import Settings, scratch
from speed.training import BATCH, SIZE

FUSE = """
import sys, time
import numpy
from refusion_jax import Fuser, use_all_cores
use_all_cores()
weights, inputs, cache = sys.argv[1:]
with numpy.load(inputs) as inputs:
    pair = inputs["source_a"][0], inputs["source_b"][0]
fuser = Fuser(weights, cache=cache)
started = time.perf_counter()
fuser.fuse(*pair)
print(time.perf_counter() - started)
"""
STEPS = {
    "fusion step": {"step": "fusion"},
    **{
        f"meta-step, {mode}": {"step": "meta", "mode": mode}
        for mode in ("exact", "first_order", "finite_difference", "reverse")
    },
}


def measure(settings: Settings) -> list[Table]:
    """Times whole processes by the clock, then compilation alone.

    Args:
      settings: of the command line; the first of its sizes is fused.

    Returns:
      Two tables.
    """
    height, width = settings.sizes[0]
    with scratch() as folder:
        material.write_weights(folder, settings.weights)
        material.write_pair(folder, 1, height, width)
        rows = process_rows(folder, settings.rounds, f"{width} x {height}")
    starting = Table(
        "Start-up",
        rows,
        [
            "Imports and processes from start to end; the first picture is one call of "
            "`Fuser.fuse`. Files are in the page cache of the operating system."
        ],
    )
    with scratch() as folder:
        material.write_weights(folder)
        material.write_batches(folder, BATCH, SIZE)
        rows = [
            compile_row(
                f"F on {width} x {height}",
                "speed.ours:compile_forward",
                settings.rounds,
                height=height,
                width=width,
            ),
            *(
                compile_row(
                    name,
                    "speed.ours:compile_step",
                    settings.rounds,
                    folder=str(folder),
                    **arguments,
                )
                for name, arguments in STEPS.items()
            ),
        ]
    title = f"Compilation, one device; steps on batch {BATCH} of {SIZE} x {SIZE}"
    return [starting, Table(title, rows)]


def process_rows(folder: Path, rounds: int, size: str) -> list[Row]:
    """Times Python processes that import or fuse.

    Args:
      folder: with weights and a pair.
      rounds: turns of each.
      size: of the pair, for the table.

    Returns:
      One row per process.
    """
    cold_starts = count()

    def fuse(cache: Path) -> tuple[float, float]:
        seconds, output = run_python(
            FUSE, str(folder / files.WEIGHTS), str(folder / files.INPUTS), str(cache)
        )
        return seconds, float(output)

    def fuse_cold() -> tuple[float, float]:
        return fuse(folder / f"cache_{next(cold_starts)}")

    fuse(folder / "cache")
    imports = {"Python alone": "pass", IMPORT: IMPORT, IMPORT_FUSE: IMPORT_FUSE}
    contenders: dict[str, Callable[[], tuple[float, float]]] = {
        **{name: partial(_seconds, code) for name, code in imports.items()},
        "no cache": fuse_cold,
        "warm cache": partial(fuse, folder / "cache"),
    }
    turns = interleave(contenders, rounds)
    rows = [
        row(name, [seconds for seconds, _ in turns[name]], target)
        for name, target in (("Python alone", None), (IMPORT, 1.5), (IMPORT_FUSE, None))
    ]
    for name, target in (("no cache", 6), ("warm cache", 2)):
        whole, call = (list(values) for values in zip(*turns[name], strict=True))
        rows.append(row(f"first picture of {size}, {name}", call, target))
        rows.append(row(f"the process around it, {name}", whole, None))
    return rows


def _seconds(code: str) -> tuple[float, float]:
    seconds, _ = run_python(code)
    return seconds, seconds


IMPORT = "import refusion_jax"
IMPORT_FUSE = "from refusion_jax import fuse"


def row(name: str, seconds: list[float], target: float | None) -> Row:
    """Makes a row of the first table.

    Args:
      name: of what was timed.
      seconds: one entry per turn.
      target: in seconds, or None.

    Returns:
      Median and extremes.
    """
    return {
        "what": name,
        "seconds": statistics.median(seconds),
        "lowest": min(seconds),
        "highest": max(seconds),
        "target": "" if target is None else f"below {target}",
    }


def run_python(code: str, *arguments: str) -> tuple[float, str]:
    """Runs a fresh Python process and times it.

    Args:
      code: its program.
      *arguments: of the program.

    Returns:
      Seconds from start to end, and what it printed.
    """
    # A cache named in the caller's environment would make every start a warm one.
    environment = {k: v for k, v in os.environ.items() if k != CACHE_VARIABLE}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    return time.perf_counter() - started, done.stdout


CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def compile_row(name: str, function: str, rounds: int, **arguments: str | int) -> Row:
    """Measures the median seconds to compile, each time in a fresh process.

    Args:
      name: for the table.
      function: "module:function" that compiles.
      rounds: processes.
      **arguments: of that function.

    Returns:
      A row.
    """
    found = []
    for _ in range(rounds):
        with one_worker({CACHE_VARIABLE: ""}) as call:
            found.append(call(function, **arguments))
    seconds = [x["seconds"] for x in found]
    return {
        "program": name,
        "seconds": statistics.median(seconds),
        "lowest": min(seconds),
        "highest": max(seconds),
        "temporaries, MiB": found[0]["temporaries"] / 2**20,
    }
