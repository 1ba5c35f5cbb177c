"""Measures speed, as ratios of medians from interleaved rounds of one run.

    python experiments/benchmark.py data --out=experiments/results/data.json

Parts:
  data: batches per second of the two samplers, against the training steps they feed.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from refusion_jax.config import preset, with_fields
from refusion_jax.data.sampler import (
    Stage,
    crops_in_batch,
    draw_batch,
    epoch_order,
    pack,
)
from refusion_jax.program import Dispatch, Program

_OUT = flags.DEFINE_string("out", None, "JSON file to write.", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Interleaved rounds.", lower_bound=1)

PAIRS, HEIGHT, WIDTH = 64, 480, 640
SAMPLER_STEPS = 100
TRAINING_STEPS = 2


def measure_data(rounds: int) -> dict[str, float]:
    """Median steps per second of sampling and of training, batch 4 of 128 x 128.

    Args:
      rounds: how often each is timed, one after the other; a first round is dropped.

    Returns:
      Steps per second by name, and the ratios that matter.
    """
    generator = np.random.default_rng(0)
    pairs = [
        tuple(generator.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in "ab")
        for _ in range(PAIRS)
    ]
    config = with_fields(preset("paper"), {"meta_steps": 2, "fusion_steps": 2})
    program = Program(config, pairs, pairs[:1])
    # Run on a copy each time: a step takes the memory of the state that it is given.
    state = program.init_state()

    def train(stage: str) -> Callable[[], int]:
        def run() -> int:
            copy = jax.tree.map(jnp.copy, state)
            program.run(copy, Dispatch(0, stage, 0, TRAINING_STEPS, TRAINING_STEPS))
            return TRAINING_STEPS

        return run

    contenders = {
        "sampler on the device": _device_sampler(pairs, config.data.crop_size),
        "fusion step": train("fusion"),
        "meta step": train("meta"),
    }
    try:
        contenders["sampler through Grain"] = _stream(pairs, config.data.crop_size)
    except ImportError as error:
        print(f"benchmark: streaming is left out: {error}", file=sys.stderr)
    speeds = _interleaved(contenders, rounds)
    # A meta step draws two batches, a fusion step one.
    for name in [name for name in speeds if name.startswith("sampler")]:
        speeds[f"{name} / fusion step"] = speeds[name] / speeds["fusion step"]
        speeds[f"{name} / 2 / meta step"] = speeds[name] / 2 / speeds["meta step"]
    return speeds


def _device_sampler(pairs: list, crop_size: int) -> Callable[[], int]:
    pair_set = pack(pairs)
    key = jax.random.key(0)
    order = epoch_order(key, 0, len(pairs)).fusion

    @jax.jit
    def draw_all(pair_set: object, order: object) -> object:
        def draw(_: None, step: object) -> tuple[None, object]:
            batch = draw_batch(
                pair_set,
                key,
                stage=Stage.FUSION,
                epoch=0,
                step=step,
                order=order,
                batch_size=4,
                crop_size=crop_size,
            )
            # Something of every pixel must leave the loop, or nothing is drawn.
            return None, batch.source_a.sum() + batch.source_b.sum()

        return jax.lax.scan(draw, None, jnp.arange(SAMPLER_STEPS))[1]

    def run() -> int:
        jax.block_until_ready(draw_all(pair_set, order))
        return SAMPLER_STEPS

    return run


def _stream(pairs: list, crop_size: int) -> Callable[[], int]:
    from refusion_jax.data.pipeline import StageReader

    key = jax.random.key(0)
    order = epoch_order(key, 0, len(pairs)).fusion

    def run() -> int:
        reader = StageReader(
            pairs,
            crops_in_step=crops_in_batch(4, False),
            crop_size=crop_size,
            augment=True,
        )
        reader.read(
            key,
            stage=Stage.FUSION,
            epoch=0,
            order=order,
            steps=SAMPLER_STEPS,
            start=0,
            length=SAMPLER_STEPS,
        )
        reader.close(Stage.FUSION)
        return SAMPLER_STEPS

    return run


def _interleaved(
    contenders: dict[str, Callable[[], int]], rounds: int
) -> dict[str, float]:
    """Median steps per second of each, timed in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            started = time.perf_counter()
            steps = run()
            seconds[name].append((time.perf_counter() - started) / steps)
    # The first round compiles.
    return {name: 1 / statistics.median(x[1:]) for name, x in seconds.items()}


PARTS = {"data": measure_data}


def main(argv: list[str]) -> int:
    """Measures one part, prints a table and writes JSON.

    Args:
      argv: the program's name and the part.

    Returns:
      0.
    """
    if len(argv) != 2 or argv[1] not in PARTS:
        raise app.UsageError(f"Expected one of {', '.join(PARTS)}, got {argv[1:]}.")
    result = {
        "part": argv[1],
        "machine": f"{platform.machine()}, {jax.local_device_count()} x "
        f"{jax.devices()[0].device_kind}",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "rounds": _ROUNDS.value,
        "result": PARTS[argv[1]](_ROUNDS.value),
    }
    for name, value in result["result"].items():
        print(f"| {name} | {value:.3g} |")
    out = Path(_OUT.value)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    app.run(main)
