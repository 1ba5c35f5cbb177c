"""Fusion metrics, exact and named by variant.

`compute(source_a, source_b, fused)` gives all of METRICS for one picture; each function
can be called by itself, under `jit` and `vmap`, on grey levels 0..255, height x width.
"""

from refusion_jax.metrics.catalogue import METRICS, PAPER_COLUMNS, Metric
from refusion_jax.metrics.scores import compute

__all__ = ["METRICS", "PAPER_COLUMNS", "Metric", "compute"]
