"""Part `metrics`: scoring fused pictures, against NumPy, SciPy and scikit-image."""

import numpy as np

from refusion_jax import metrics
from speed.contest import time_here
from speed.material import scenes
from speed.results import Table, timing_rows
from speed.rounds import Check, check_values
from speed.settings import Settings

HEIGHT, WIDTH = 480, 640
PEER = "the same in NumPy, SciPy, scikit-image"


def measure(settings: Settings) -> list[Table]:
    """Measures the seconds to score one picture of 640 x 480, on 8-bit levels.

    Args:
      settings: of the command line.

    Returns:
      One table.

    Raises:
      ValueError: if the values differ by more than 1e-9.
    """
    from peers import metrics as peer

    scene_a, scene_b = (
        np.round(255 * scenes(seed, 1, HEIGHT, WIDTH)[0, ..., 0]).astype(np.uint8)
        for seed in (0, 1)
    )
    images = (scene_a, scene_b, scene_a // 2 + scene_b // 2)
    doubles = [image.astype(np.float64) for image in images]
    expected = peer.compute(*doubles)
    columns = tuple(expected)
    differences = check_values(
        PEER,
        expected,
        metrics.compute(*images, columns),
        dict.fromkeys(columns, Check(1e-9, relative=True)),
    )
    timings = time_here(
        {
            "columns of Tables 1 to 4": lambda: len(
                [metrics.compute(*images, columns)]
            ),
            PEER: lambda: len([peer.compute(*doubles)]),
            "all 21 metrics": lambda: len([metrics.compute(*images, None)]),
        },
        settings.rounds,
    )
    largest = max(differences.values())
    note = f"Values agree; the largest relative difference is {largest:.1e}."
    title = f"Metrics of a pair of {WIDTH} x {HEIGHT}"
    return [Table(title, timing_rows(timings, "picture"), [note])]
