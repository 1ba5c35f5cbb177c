r"""Counts what devices exchange in a training step, and how far their results differ.

    python experiments/traffic.py --out=experiments/results/scaling/traffic.json

The trainer's own programs for 1, 2, 4 and 8 CPU devices, whose compiled form (HLO) says
what is exchanged: the same as among that many hosts of one device each. Two steps of
each are run, and the parameters compared with those of one device. Speed is not
measured, since all devices share the cores of this machine.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from launch import launch
from speed.collectives import Exchange, exchanges
from speed.results import Row, Table, describe_machine, to_markdown

from refusion_jax.array_types import Params
from refusion_jax.data.sources import Luminances
from refusion_jax.devices.compilation_cache import use_compilation_cache
from refusion_jax.devices.data_parallel import batch_mesh
from refusion_jax.files.atomic import replace_file
from refusion_jax.training.config import Config, preset, with_fields
from refusion_jax.training.program import Program
from refusion_jax.training.schedule import Dispatch

_OUT = flags.DEFINE_string(
    "out", None, "JSON file to write, and Markdown beside it.", required=True
)
_PRESET = flags.DEFINE_string("preset", "default", "Preset of ReFusion.")
_STAGES = flags.DEFINE_list("stages", ["fusion", "meta"], "Kinds of steps.")
_DEVICES = flags.DEFINE_list("devices", ["1", "2", "4", "8"], "Counts, from 1 on.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Pairs that F sees in a step.")
_CROP_SIZE = flags.DEFINE_integer("crop_size", 128, "Side of the crops.")

STEPS = 2
PAIRS = 8


def noise(side: int, count: int) -> list[Luminances]:
    """Returns pairs of noise: what is exchanged does not depend on the pictures."""
    generator = np.random.default_rng(0)
    return [
        tuple(generator.integers(0, 256, (2, side, side), "u1")) for _ in range(count)
    ]


def steps_on(
    devices: int, config: Config, stages: list[str]
) -> Iterator[tuple[str, list[Exchange], Params]]:
    """Compiles and runs a few steps of each stage.

    Args:
      devices: to share the batch.
      config: of the run.
      stages: names.

    Yields:
      Stage, exchanges in all steps, and the parameters after them.
    """
    mesh = batch_mesh(devices)
    learner = config.method.learner(config.settings, config.run.epochs, mesh)
    pairs = noise(config.data.crop_size, PAIRS)
    program = Program(learner, config, mesh, pairs, pairs[:1])
    for stage in learner.stages:
        if stage.name not in stages:
            continue
        state = program.init_state()
        # The last epoch, in which every loss has its full weight.
        dispatch = Dispatch(config.run.epochs - 1, stage, 0, STEPS, STEPS, False)
        hlo = program.lower(state, dispatch).compile().as_text() or ""
        state, _ = program.run(state, dispatch)
        yield stage.name, exchanges(hlo), jax.device_get(state.params)


def row(
    stage: str, devices: int, found: list[Exchange], params: Params, alone: Params
) -> Row:
    """Makes a row of the table, per step.

    Args:
      stage: kind of steps.
      devices: that share the batch.
      found: exchanges in all steps.
      params: after them.
      alone: the same on one device.
    """
    operations: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for exchange in found:
        operations[exchange.kind] += exchange.times
        sizes[exchange.kind] += exchange.size * exchange.times
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, alone)
    return {
        "step": stage,
        "devices": devices,
        "sums": operations.pop("all-reduce", 0) // STEPS,
        "bytes summed": sizes["all-reduce"] // STEPS,
        "other exchanges": operations.total() // STEPS,
        "bytes sent by a device": round(sum(x.sent for x in found) / STEPS),
        f"difference after {STEPS} steps": float(max(jax.tree.leaves(differences))),
    }


def main() -> int:
    """Counts, compares, prints and writes a table.

    Returns:
      0.
    """
    counts = [int(x) for x in _DEVICES.value]
    if counts[0] != 1:
        raise ValueError(f"expected 1 device first, to compare with, got {counts[0]}.")
    jax.config.update("jax_num_cpu_devices", max(counts))
    config = with_fields(
        preset(_PRESET.value),
        {"batch_size": _BATCH_SIZE.value, "crop_size": _CROP_SIZE.value},
    )
    machine: dict[str, Any] = describe_machine()
    rows: list[Row] = []
    alone: dict[str, Params] = {}
    with tempfile.TemporaryDirectory() as cache:
        use_compilation_cache(cache)  # looked at first, run next
        for count in counts:
            for stage, found, params in steps_on(count, config, _STAGES.value):
                rows.append(
                    row(stage, count, found, params, alone.setdefault(stage, params))
                )
                print(rows[-1], flush=True)
    rows.sort(key=lambda x: x["step"])
    side = _CROP_SIZE.value
    table = Table(
        f"What {_PRESET.value} exchanges per step, batch {_BATCH_SIZE.value} of "
        f"{side} x {side}",
        rows,
        [
            "Bytes summed: of the arrays that all devices add up. Bytes sent by a "
            "device: 2 (N - 1) / N of these, as a ring sends them, and its part of the "
            "other exchanges. Difference: the largest of any parameter from one "
            "device's."
        ],
    )
    out = Path(_OUT.value)
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "table": table._asdict()}
    replace_file(out, (json.dumps(content, indent=2) + "\n").encode())
    versions = ", ".join(f"{name} {v}" for name, v in machine["versions"].items())
    head = (
        f"`python experiments/traffic.py`: {machine['processor']}, "
        f"{machine['system']}; Python {machine['python']}, {versions}; commit "
        f"{machine['commit']}.\n"
    )
    replace_file(out.with_suffix(".md"), f"{head}\n{to_markdown(table)}".encode())
    return 0


if __name__ == "__main__":
    launch(main)
