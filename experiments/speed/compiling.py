"""Part `compile`: seconds until the first picture, and to compile each step."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from peers import files

from speed import material
from speed.contest import one_worker
from speed.results import Row, Table
from speed.rounds import interleave
from speed.settings import Settings, scratch
from speed.training import BATCH, SIZE

FUSE = """
import sys
import numpy
from refusion_jax import Fuser, use_all_cores
use_all_cores()
weights, inputs, cache = sys.argv[1:]
with numpy.load(inputs) as inputs:
    pair = inputs["source_a"][0], inputs["source_b"][0]
Fuser(weights, cache=cache).fuse(*pair)
"""
STEPS = {
    "fusion step": {"step": "fusion"},
    **{
        f"meta-step, {mode}": {"step": "meta", "mode": mode}
        for mode in ("exact", "first_order", "finite_difference", "reverse")
    },
}


def measure(settings: Settings) -> list[Table]:
    """Whole processes by the clock, then compilation alone.

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
        "Whole processes, from start to end",
        rows,
        ["The programs are in the page cache of the operating system."],
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
    """Seconds of Python processes that import or fuse.

    Args:
      folder: with weights and a pair.
      rounds: turns of each.
      size: of the pair, for the table.

    Returns:
      One row a process.
    """
    cold = [0]

    def fuse(cache: Path) -> float:
        return run_python(
            FUSE, str(folder / files.WEIGHTS), str(folder / files.INPUTS), str(cache)
        )

    def fuse_cold() -> float:
        cold[0] += 1
        return fuse(folder / f"cache_{cold[0]}")

    fuse(folder / "cache")
    imported, cold_start, warm_start = (
        "import refusion_jax",
        f"first picture of {size}, no cache",
        f"first picture of {size}, warm cache",
    )
    processes = {
        "Python alone": lambda: run_python("pass"),
        imported: lambda: run_python("import refusion_jax"),
        "from refusion_jax import fuse": lambda: run_python(
            "from refusion_jax import fuse"
        ),
        cold_start: fuse_cold,
        warm_start: lambda: fuse(folder / "cache"),
    }
    targets = {imported: 1.5, cold_start: 6, warm_start: 2}
    seconds = interleave(processes, rounds)
    return [
        {
            "process": name,
            "seconds": statistics.median(values),
            "lowest": min(values),
            "highest": max(values),
            "target": f"below {targets[name]}" if name in targets else "",
        }
        for name, values in seconds.items()
    ]


def run_python(code: str, *arguments: str) -> float:
    """Seconds of a fresh Python process.

    Args:
      code: its program.
      *arguments: of the program.

    Returns:
      Seconds from start to end.
    """
    # A cache that the caller's environment names would make everything warm.
    environment = {k: v for k, v in os.environ.items() if k != CACHE_VARIABLE}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, env=environment
    )
    return time.perf_counter() - started


CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def compile_row(name: str, function: str, rounds: int, **arguments: str | int) -> Row:
    """Median seconds to compile, each time in a fresh process.

    Args:
      name: for the table.
      function: "module:function" that compiles.
      rounds: how often.
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
