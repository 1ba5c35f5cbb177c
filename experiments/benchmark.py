"""Measures speed, as ratios of medians from interleaved rounds of one run.

    python experiments/benchmark.py data --out=experiments/results/data.json

Parts:
  data: batches per second of the two samplers, against the training steps they feed.
  metrics: fused pictures scored per second, against NumPy, SciPy and scikit-image.
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

from refusion_jax import metrics
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


def measure_metrics(rounds: int) -> dict[str, float]:
    """Median pictures per second that are scored, of 640 x 480, on 8-bit levels.

    Args:
      rounds: how often each is timed, one after the other; a first round is dropped.

    Returns:
      Pictures per second by name, the ratio on the columns of the paper's tables, and
      the largest relative difference of their values.

    Raises:
      ValueError: if the values differ by more than 1e-9.
    """
    from peers import metrics as metric_peers

    scene_a, scene_b = (_scene(seed) for seed in (0, 1))
    images = (scene_a, scene_b, scene_a // 2 + scene_b // 2)
    doubles = [image.astype(np.float64) for image in images]
    columns = tuple(metric_peers.compute(*doubles))
    expected = metric_peers.compute(*doubles)
    scores = metrics.compute(*images, columns)
    difference = max(abs(scores[key] / expected[key] - 1) for key in columns)
    if difference > 1e-9:
        raise ValueError(
            f"expected equal values, got a difference of {difference:.1e}."
        )

    def ours(keys: tuple[str, ...] | None) -> Callable[[], int]:
        return lambda: len([metrics.compute(*images, keys)])

    speeds = _interleaved(
        {
            "columns of Tables 1 to 4": ours(columns),
            "the same in NumPy, SciPy, scikit-image": lambda: len(
                [metric_peers.compute(*doubles)]
            ),
            "all 21 metrics": ours(None),
        },
        rounds,
    )
    fast, slow, _ = speeds.values()
    speeds["ratio on the columns of Tables 1 to 4"] = fast / slow
    speeds["largest relative difference"] = difference
    return speeds


def _scene(seed: int) -> np.ndarray:
    """Smooth noise of three scales over the whole range, 8-bit."""
    generator = np.random.default_rng(seed)
    scene = np.zeros((HEIGHT, WIDTH))
    for block in (4, 20, 80):
        noise = generator.normal(size=(HEIGHT // block, WIDTH // block))
        scene += np.kron(noise, np.ones((block, block)))
    scene += generator.normal(size=scene.shape) / 4
    return np.round(255 * (scene - scene.min()) / np.ptp(scene)).astype(np.uint8)


PARTS = {"data": measure_data, "metrics": measure_metrics}


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
