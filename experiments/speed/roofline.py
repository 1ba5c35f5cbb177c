"""Part `roofline`: F and the training steps against the limits of the device."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from peers import files

from refusion_jax.methods.refusion.nets import networks
from speed import material
from speed.contest import HUGE_PAGES, one_worker
from speed.counting import count
from speed.ours import Training, read_params
from speed.results import Row, Table
from speed.settings import Settings, scratch
from speed.training import BATCH, SIZE

# Ceilings are measured by a product of square matrices and a pass over an array.
CPU_SIDE, SIDE = 2048, 8192
PASS_FLOATS = 1 << 27
STEPS = ("fusion", "meta")


def measure(settings: Settings) -> list[Table]:
    """Counts and times the work, on one device.

    Args:
      settings: of the command line; the first of its sizes is fused.

    Returns:
      One table.
    """
    height, width = settings.sizes[0]
    with one_worker(HUGE_PAGES) as call:
        found = call("speed.roofline:ceilings", rounds=settings.rounds)
    write_pair = partial(material.write_pair, batch=1, height=height, width=width)
    write_batches = partial(material.write_batches, batch=BATCH, size=SIZE)
    line = in_worker(settings, "forward", write_pair)
    rows = [row(f"F on {width} x {height}", line, found)]
    for step in STEPS:
        line = in_worker(settings, "training_step", write_batches, step=step)
        rows.append(row(f"{step}-step, batch {BATCH} of {SIZE} x {SIZE}", line, found))
    notes = [
        f"One device: {found['device']}. Its ceilings, measured: "
        f"{found['operations'] / 1e9:,.0f} GFLOP/s in float32 matrix products, "
        f"{found['bytes'] / 1e9:,.0f} GB/s in passes over main memory. The floor is "
        "the larger of operations and bytes at these.",
        "Ours: from the traced program; products and convolutions read and write "
        "memory, the rest happens on the way. XLA's: its cost analysis, which counts "
        "loops once.",
    ]
    return [Table("Roofline", rows, notes)]


def in_worker(
    settings: Settings, function: str, write: Callable[[Path], None], **options: str
) -> dict[str, float]:
    """Calls `forward` or `training_step` in a process and a folder of its own.

    Args:
      settings: of the command line.
      function: its name.
      write: writes the pictures into a folder.
      **options: of the function.

    Returns:
      The counts and seconds of the work.
    """
    with scratch() as folder, one_worker(HUGE_PAGES) as call:
        material.write_weights(folder)
        write(folder)
        return call(
            f"speed.roofline:{function}",
            folder=str(folder),
            rounds=settings.rounds,
            **options,
        )


def row(name: str, line: dict[str, float], found: dict[str, Any]) -> Row:
    """Makes a row of the table.

    Args:
      name: of the work.
      line: of `forward` or `training_step`.
      found: of `ceilings`.

    Returns:
      Counts, the floor, and how close the work comes to it.
    """
    floors = {
        "operations": line["operations"] / found["operations"],
        "bytes": line["bytes"] / found["bytes"],
    }
    bound = max(floors, key=lambda x: floors[x])
    return {
        "work": name,
        "GFLOP, ours": line["operations"] / 1e9,
        "GFLOP, XLA": line["xla_operations"] / 1e9,
        "MB, ours": line["bytes"] / 1e6,
        "MB, XLA": line["xla_bytes"] / 1e6,
        "floor, ms": 1e3 * floors[bound],
        "bound by": bound,
        "measured, ms": 1e3 * line["seconds"],
        "per second": 1 / line["seconds"],
        "floor / measured": floors[bound] / line["seconds"],
    }


def ceilings(rounds: int) -> dict[str, Any]:
    """Measures the best the device can do; runs in a worker.

    Args:
      rounds: runs behind each median.

    Returns:
      "operations" and "bytes" per second, and the name of the "device".
    """
    side = CPU_SIDE if jax.default_backend() == "cpu" else SIDE
    matrix = jnp.ones((side, side), jnp.float32)
    array = jnp.ones((PASS_FLOATS,), jnp.float32)
    with jax.default_matmul_precision("highest"):
        product = median_seconds(jax.jit(jnp.matmul), (matrix, matrix), rounds)
    one_pass = median_seconds(jax.jit(lambda x: x + 1), (array,), rounds)
    return {
        "operations": 2 * side**3 / product,
        "bytes": 2 * array.nbytes / one_pass,
        "device": jax.devices()[0].device_kind,
    }


def forward(folder: str, rounds: int) -> dict[str, float]:
    """Measures F on one pair, in one jitted call; runs in a worker.

    Args:
      folder: with weights and a pair.
      rounds: runs behind the median.

    Returns:
      Seconds, operations and bytes.
    """
    inputs = files.read_inputs(folder)
    sources = (jnp.asarray(inputs[x]) for x in ("source_a", "source_b"))
    return of_program(
        jax.jit(networks.fuse), (read_params(folder).fusion, *sources), rounds
    )


def training_step(folder: str, step: str, rounds: int) -> dict[str, float]:
    """Measures a training step; runs in a worker.

    Args:
      folder: with weights and batches.
      step: "fusion" or "meta".
      rounds: runs behind the median.

    Returns:
      As `forward`.
    """
    training = Training(folder, step, divided=False)
    with jax.default_matmul_precision("highest"):
        return of_program(training.update, training.arguments, rounds)


def of_program(
    function: Any, arguments: tuple[Any, ...], rounds: int
) -> dict[str, float]:
    """Counts and times a jitted function.

    Args:
      function: of `jax.jit`.
      arguments: its own.
      rounds: runs behind the median.

    Returns:
      As `forward`.
    """
    ours = count(function, *arguments)
    compiled = function.lower(*arguments).compile()
    costs = compiled.cost_analysis()
    return {
        "seconds": median_seconds(compiled, arguments, rounds),
        "operations": ours.operations,
        "bytes": ours.bytes,
        "xla_operations": costs["flops"],
        "xla_bytes": costs["bytes accessed"],
    }


def median_seconds(
    function: Callable[..., Any], arguments: tuple[Any, ...], rounds: int
) -> float:
    """Times calls, after one that is not timed."""
    jax.block_until_ready(function(*arguments))
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
