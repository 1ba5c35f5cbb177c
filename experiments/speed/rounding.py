"""Part `precision`: what less than float32 changes in fused pictures, and its speed."""

import statistics
import time

import numpy as np

from refusion_jax import Fuser, use_all_cores
from refusion_jax.data.pairs import find_pairs
from refusion_jax.nets.precision import PRECISIONS
from speed.results import Row, Table
from speed.settings import Settings


def measure(settings: Settings) -> list[Table]:
    """8-bit pictures in every precision against those in float32.

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
    exact: list[np.ndarray] = []
    rows: list[Row] = []
    for precision in PRECISIONS:
        fuser = Fuser(settings.weights, precision=precision)
        fused = [fuser.fuse(pair.path_a, pair.path_b) for pair in pairs]
        exact = exact or fused
        seconds = []
        for pair in pairs:
            started = time.perf_counter()
            fuser.fuse(pair.path_a, pair.path_b)
            seconds.append(time.perf_counter() - started)
        errors = np.concatenate(
            [
                np.abs(x.astype(int) - y).ravel()
                for x, y in zip(fused, exact, strict=True)
            ]
        )
        rows.append(
            {
                "precision": precision,
                "mean difference": float(errors.mean()),
                "largest": int(errors.max()),
                "more than one level": float((errors > 1).mean()),
                "seconds a picture": statistics.median(seconds),
            }
        )
    note = "Differences from float32 in levels of 0..255, after stretch and rounding."
    return [Table(f"Precision, {len(pairs)} pairs", rows, [note])]
