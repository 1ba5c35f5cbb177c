"""Part `attribution`: class-wise attribution, against one gradient at a time."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from refusion_jax.array_types import Image
from refusion_jax.methods.uaafusion.attribution import (
    Mask,
    attribute,
    mask_of_labels,
    plain,
    regions_of,
)
from refusion_jax.methods.uaafusion.nets.networks import init_params
from refusion_jax.methods.uaafusion.nets.segmentation import segment
from speed import material
from speed.contest import time_here
from speed.results import Table, timing_rows
from speed.rounds import Check, check_values
from speed.settings import Settings

POINTS, BATCH, SIZE = 5, 2, 96
CLASSES = (3, 15)  # with the unlabelled one: masks of an object, a road data set
OURS = "all classes, points, pictures and sources at once"
LOOP = "one gradient per class, point, picture and source"
TARGET = 5
# Of float32, through a network that is not trained; in float64 they agree to 1e-5.
CHECKS = {"attributions": Check(1e-2, relative=True)}


def measure(settings: Settings) -> list[Table]:
    """Measures the attribution of two sources.

    Args:
      settings: of the command line.

    Returns:
      One table for each number of classes; every class is present.
    """
    return [_table(classes, settings.rounds) for classes in CLASSES]


def contenders(classes: int) -> dict[str, Callable[[], np.ndarray]]:
    """Returns both ways to attribute the same two pictures.

    Args:
      classes: number of classes, the unlabelled one included.

    Returns:
      Ours first; each returns the attributions by source, picture and class.
    """
    params = init_params(jax.random.key(0), classes=classes)
    network = partial(segment, params.segmentation, params.statistics)
    a, b = (jnp.asarray(material.scenes(seed, BATCH, SIZE, SIZE)) for seed in (0, 1))
    labels = np.arange(SIZE) * classes // SIZE
    regions = regions_of(
        mask_of_labels(jnp.broadcast_to(labels, (BATCH, SIZE, SIZE)), classes)
    )

    @jax.jit
    def at_once(a: Image, b: Image, regions: Mask) -> jax.Array:
        return attribute(plain(network), a, b, regions, points=POINTS).classes

    @jax.jit
    def slope(image: Image, region: jax.Array, c: int, t: float) -> jax.Array:
        def score(x: Image) -> jax.Array:
            chosen = jax.nn.sigmoid(network(x)[0, ..., c])
            return (chosen * region).sum() / region.sum()

        change = jax.grad(score)(t * image)[0, ..., 0] * image[0, ..., 0]
        return (change * region).sum() / region.sum()

    def one_by_one() -> np.ndarray:
        found = np.zeros((2, BATCH, classes))
        for side, source in enumerate((a, b)):
            for picture in range(BATCH):
                for c in range(classes):
                    for k in range(1, POINTS + 1):
                        found[side, picture, c] += slope(
                            source[picture : picture + 1],
                            regions[picture, ..., c],
                            c,
                            k / POINTS,
                        )
        return found / POINTS

    return {OURS: lambda: np.asarray(at_once(a, b, regions)), LOOP: one_by_one}


def _table(classes: int, rounds: int) -> Table:
    runs = contenders(classes)
    differences = check_values(
        LOOP,
        {"attributions": runs[LOOP]()},
        {"attributions": runs[OURS]()},
        CHECKS,
    )
    timings = time_here(
        {name: partial(_once, run) for name, run in runs.items()}, rounds
    )
    return Table(
        f"Attribution with {classes} classes, {POINTS} points, {BATCH} pairs of "
        f"{SIZE} x {SIZE}",
        timing_rows(timings, "batch", {LOOP: TARGET}),
        [
            "Both compiled, in one process on one device.",
            "Attributions agree with the first row's; the relative difference is "
            f"{differences['attributions']:.1e}.",
        ],
    )


def _once(run: Callable[[], np.ndarray]) -> int:
    run()
    return 1
