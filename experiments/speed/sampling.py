"""Part `data`: the two samplers against the training steps they feed."""

import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from refusion_jax.data.crops import Cutting, epoch_order
from refusion_jax.data.device_batches import PairSet, draw_batch, pack
from refusion_jax.data.sources import Luminances
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.program import Program, make_learner
from refusion_jax.training.schedule import Dispatch
from speed.contest import time_here
from speed.results import Row, Table
from speed.settings import Settings

PAIRS, HEIGHT, WIDTH = 64, 480, 640
SAMPLER_STEPS = 100
STREAM = 3  # of fusion steps
TRAINING_STEPS = 2


def measure(settings: Settings) -> list[Table]:
    """Measures the steps per second of sampling and of training, batch 4 of 128 x 128.

    Args:
      settings: of the command line.

    Returns:
      One table; shares above 1 mean that the sampler is faster than what it feeds.
    """
    generator = np.random.default_rng(0)

    def picture() -> np.ndarray:
        return generator.integers(0, 256, (HEIGHT, WIDTH), np.uint8)

    pairs = [(picture(), picture()) for _ in range(PAIRS)]
    config = with_fields(preset("paper"), {"meta_steps": 2, "fusion_steps": 2})
    learner, mesh = make_learner(config)
    program = Program(learner, config, mesh, pairs, pairs[:1])
    stages = {stage.name: stage for stage in learner.stages}
    # Run on a copy each time, since a step reuses the memory of its state.
    state = program.init_state()

    def train(stage: str) -> Callable[[], int]:
        def run() -> int:
            copy = jax.tree.map(jnp.copy, state)
            dispatch = Dispatch(
                0, stages[stage], 0, TRAINING_STEPS, TRAINING_STEPS, True
            )
            program.run(copy, dispatch)
            return TRAINING_STEPS

        return run

    contenders = {
        "fusion step": train("fusion"),
        "meta-step": train("meta"),
        "sampler on the device": _device_sampler(pairs, config.data.crop_size),
    }
    notes = ["A meta-step draws two batches, a fusion step one."]
    try:
        contenders["sampler through Grain"] = _stream(pairs, config.data.crop_size)
    except ImportError as error:
        print(f"benchmark: streaming is left out: {error}", file=sys.stderr)
        notes.append(f"Left out: sampler through Grain ({error}).")
    timings = time_here(contenders, settings.rounds)
    fusion, meta = timings[0].median, timings[1].median
    rows: list[Row] = [
        {
            "contender": timing.name,
            "steps per second": 1 / timing.median,
            "times the fusion step's": fusion / timing.median,
            "two batches, times the meta-step's": meta / 2 / timing.median,
        }
        for timing in timings[2:]
    ]
    rows += [
        {"contender": timing.name, "steps per second": 1 / timing.median}
        for timing in timings[:2]
    ]
    return [Table(f"Sampling from {PAIRS} pairs of {WIDTH} x {HEIGHT}", rows, notes)]


def _device_sampler(pairs: Sequence[Luminances], crop_size: int) -> Callable[[], int]:
    pair_set = pack(pairs)
    key = jax.random.key(0)
    order = epoch_order(key, 0, [1] * len(pairs)).all

    @jax.jit
    def draw_all(pair_set: PairSet, order: jax.Array) -> jax.Array:
        def draw(_: None, step: jax.Array) -> tuple[None, jax.Array]:
            batch = draw_batch(
                pair_set,
                key,
                stream=STREAM,
                epoch=0,
                step=step,
                order=order,
                count=4,
                crop_size=crop_size,
            )
            # Every pixel must contribute to the result, or XLA draws nothing.
            return None, batch.source_a.sum() + batch.source_b.sum()

        return jax.lax.scan(draw, None, jnp.arange(SAMPLER_STEPS))[1]

    def run() -> int:
        jax.block_until_ready(draw_all(pair_set, order))
        return SAMPLER_STEPS

    return run


def _stream(pairs: Sequence[Luminances], crop_size: int) -> Callable[[], int]:
    from refusion_jax.data.streamed_batches import StageReader

    key = jax.random.key(0)
    order = epoch_order(key, 0, [1] * len(pairs)).all

    def run() -> int:
        reader = StageReader(pairs, Cutting(4, crop_size, augment=True))
        reader.read(
            key,
            stream=STREAM,
            epoch=0,
            order=order,
            steps=SAMPLER_STEPS,
            start=0,
            length=SAMPLER_STEPS,
        )
        reader.close(STREAM)
        return SAMPLER_STEPS

    return run
