"""Part `precision`: how lower precision changes fused pictures, and its speed."""

from collections.abc import Callable

import numpy as np

from refusion_jax import Fuser, use_all_cores
from refusion_jax.data.pairs import find_pairs
from refusion_jax.methods.setting import PRECISIONS, Precision
from speed.contest import time_here
from speed.results import Row, Table
from speed.settings import Settings


def measure(settings: Settings) -> list[Table]:
    """Compares 8-bit pictures of every precision with those of float32.

    Args:
      settings: of the command line; `weights`, `source_a` and `source_b` are needed.

    Returns:
      One table.

    Raises:
      ValueError: if one of the three is missing.
    """
    if not (settings.weights and settings.source_a and settings.source_b):
        raise ValueError(
            "expected --weights, --source_a and --source_b for `precision`: errors are "
            "those of real pictures."
        )
    use_all_cores()
    pairs = find_pairs(settings.source_a, settings.source_b)
    pictures: dict[str, list[np.ndarray]] = {}

    weights = settings.weights

    def fuser(precision: Precision) -> Callable[[], int]:
        fuse = Fuser(weights, precision=precision).fuse

        def run() -> int:
            pictures[precision] = [fuse(pair.path_a, pair.path_b) for pair in pairs]
            return len(pairs)

        return run

    timings = time_here({x: fuser(x) for x in PRECISIONS}, settings.rounds)
    rows: list[Row] = []
    for timing in timings:
        both = zip(pictures[timing.name], pictures["float32"], strict=True)
        errors = np.concatenate([np.abs(x.astype(int) - y).ravel() for x, y in both])
        rows.append(
            {
                "precision": timing.name,
                "mean difference": float(errors.mean()),
                "largest": int(errors.max()),
                "more than one level": float((errors > 1).mean()),
                "seconds per picture": timing.median,
            }
        )
    note = "Differences from float32 in levels of 0..255, after stretch and rounding."
    return [Table(f"Precision, {len(pairs)} pairs", rows, [note])]
