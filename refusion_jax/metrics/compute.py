"""All metrics of one fused picture: checked, in float64, side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike

from refusion_jax.metrics.catalogue import METRICS
from refusion_jax.metrics.levels import LARGEST


def compute(
    source_a: ArrayLike,
    source_b: ArrayLike,
    fused: ArrayLike,
    keys: Sequence[str] | None = None,
) -> dict[str, float]:
    """Scores a fused picture, in float64 whatever the precision of the caller.

    Args:
      source_a, source_b, fused: grey levels 0..255, height x width, integers or
        floating point.
      keys: of METRICS; all of them if None.

    Returns:
      One value a key, in the order of the keys. NaN where the metric is undefined for
      these pictures, infinite, or made for larger ones (`METRICS[key].smallest_side`).

    Raises:
      ValueError: if a key is unknown, or the pictures are not grey, not of one size,
        not finite, or not in 0..255.
    """
    keys = tuple(METRICS) if keys is None else tuple(keys)
    for key in keys:
        if key not in METRICS:
            raise ValueError(
                f"Unknown metric {key!r}. Choose from: {', '.join(METRICS)}."
            )
    arrays = {"source_a": source_a, "source_b": source_b, "fused": fused}
    pictures = [_checked(name, np.asarray(array)) for name, array in arrays.items()]
    for name, picture in zip(("source_b", "fused"), pictures[1:], strict=True):
        if picture.shape != pictures[0].shape:
            raise ValueError(
                "expected pictures of one size, got source_a "
                f"{pictures[0].shape} and {name} {picture.shape}; crop or resize them."
            )
    shortest = min(pictures[0].shape)

    with jax.enable_x64(True):
        images = [jnp.asarray(picture) for picture in pictures]

    def score(key: str) -> float:
        if METRICS[key].smallest_side > shortest:
            return float("nan")
        chosen = images[2:] if METRICS[key].of_fused_alone else images
        with jax.enable_x64(True):  # the setting belongs to a thread
            value = float(_compiled(key)(*chosen))
        return value if np.isfinite(value) else float("nan")

    # One program runs on one core, and Python waits for it without its lock.
    with ThreadPoolExecutor() as pool:
        return dict(zip(keys, pool.map(score, keys), strict=True))


@cache
def _compiled(key: str) -> Callable[..., Array]:
    """One program a metric, so that other keys do not compile it again.

    One program of all metrics was measured too: it shares next to nothing (three joint
    histograms of a millisecond) and runs its loops in turn.
    """
    return jax.jit(METRICS[key].function)


def _checked(name: str, picture: np.ndarray) -> np.ndarray:
    """The picture in float64, or one sentence on why it is none."""
    if picture.ndim != 2:
        raise ValueError(
            f"expected {name} as a grey picture, height x width, got shape "
            f"{picture.shape}; take the luminance of a colour picture first."
        )
    if picture.size == 0 or not (
        np.issubdtype(picture.dtype, np.integer)
        or np.issubdtype(picture.dtype, np.floating)
    ):
        raise ValueError(
            f"expected {name} to hold numbers, got shape {picture.shape} of "
            f"{picture.dtype}; pass grey levels 0..255."
        )
    low, high = float(picture.min()), float(picture.max())
    if not np.isfinite([low, high]).all():  # NaN is passed on by both
        raise ValueError(
            f"expected finite grey levels in {name}, got NaN or infinity; "
            "find out where they come from first."
        )
    if low < 0 or high > LARGEST:
        raise ValueError(
            f"expected {name} in 0..255, got {low:g}..{high:g}; rescale it first."
        )
    if np.issubdtype(picture.dtype, np.floating) and low < high <= 1:
        raise ValueError(
            f"expected {name} in 0..255, got floating point in {low:g}..{high:g}; "
            "multiply pictures in 0..1 by 255 first."
        )
    return picture.astype(np.float64)
