"""Computes all metrics of one fused picture: checked, in float64, in parallel."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike

from refusion_jax.metrics.catalogue import (
    ALL_METRICS,
    TRUTH_METRICS,
    Metric,
    check_keys,
)
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
      keys: keys of METRICS and MEFB_METRICS; None for all of METRICS.

    Returns:
      One value per key, in the order of the keys. NaN if the metric is undefined for
      these pictures, is infinite, or needs larger ones (`Metric.smallest_side`).

    Raises:
      ValueError: if a key is unknown, or the pictures are not grey, not of one size,
        not finite, or not in 0..255.

    Examples:
      >>> infrared, visible, fused = [[0, 255]] * 2, [[255, 255]] * 2, [[128, 255]] * 2
      >>> scores = compute(infrared, visible, fused, ["en", "mse", "ssim_wang"])
      >>> {key: round(value, 3) for key, value in scores.items()}
      {'en': 1.0, 'mse': 8128.25, 'ssim_wang': nan}
    """
    keys = check_keys(keys)
    images = _images(source_a=source_a, source_b=source_b, fused=fused)

    def score(key: str) -> float:
        metric = ALL_METRICS[key]
        return _score(metric, images[2:] if metric.of_fused_alone else images)

    # In threads, because one program uses one core, and Python releases its lock while
    # it waits for the program.
    with ThreadPoolExecutor() as pool:
        return dict(zip(keys, pool.map(score, keys), strict=True))


def compute_truth(truth: ArrayLike, fused: ArrayLike) -> dict[str, float]:
    """Scores a fused picture against the true one, in float64.

    Args:
      truth, fused: grey levels 0..255, height x width, integers or floating point.

    Returns:
      One value per key of TRUTH_METRICS; NaN as in `compute`.

    Raises:
      ValueError: if the pictures are not grey, not of one size, not finite, or not in
        0..255.

    Examples:
      >>> scores = compute_truth([[0, 255]] * 2, [[51, 255]] * 2)
      >>> {key: round(value, 3) for key, value in scores.items()}
      {'psnr_truth': 16.99, 'ssim_truth': nan}
    """
    images = _images(truth=truth, fused=fused)
    return {key: _score(metric, images) for key, metric in TRUTH_METRICS.items()}


def _images(**arrays: ArrayLike) -> list[Array]:
    """Returns named pictures in float64; raises if they do not fit together."""
    first, *others = arrays
    pictures = {
        name: _checked(name, np.asarray(array)) for name, array in arrays.items()
    }
    for name in others:
        if pictures[name].shape != pictures[first].shape:
            raise ValueError(
                f"expected pictures of one size, got {first} {pictures[first].shape} "
                f"and {name} {pictures[name].shape}; crop or resize them."
            )
    with jax.enable_x64(True):
        return [jnp.asarray(picture) for picture in pictures.values()]


def _score(metric: Metric, images: Sequence[Array]) -> float:
    if metric.smallest_side > min(images[0].shape):
        return float("nan")
    with jax.enable_x64(True):  # again, because the setting is per thread
        value = float(_compiled(metric.function)(*images))
    return value if np.isfinite(value) else float("nan")


@cache
def _compiled(function: Callable[..., Array]) -> Callable[..., Array]:
    """Compiles one program per metric, so that other choices of keys can reuse it.

    A single program for all metrics was measured too: its metrics share almost nothing
    (three joint histograms that take a millisecond), and its loops run one after
    another.
    """
    return jax.jit(function)


def _checked(name: str, picture: np.ndarray) -> np.ndarray:
    """Returns a picture in float64; raises if it is not a picture of grey levels."""
    if picture.dtype.kind in "USO":
        raise ValueError(
            f"expected {name} to be an array, got {picture.dtype.type.__name__} of "
            f"shape {picture.shape}; refusion_jax.score reads files and images."
        )
    if picture.ndim != 2:
        raise ValueError(
            f"expected {name} to be a grey picture, height x width, got shape "
            f"{picture.shape}; refusion_jax.score takes the luminance of colour."
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
    if not np.isfinite([low, high]).all():  # both propagate NaN
        raise ValueError(
            f"expected finite grey levels in {name}, got NaN or infinity; "
            "correct whatever produced them."
        )
    if low < 0 or high > LARGEST:
        raise ValueError(
            f"expected {name} in 0..255, got {low:g}..{high:g}; rescale it."
        )
    if np.issubdtype(picture.dtype, np.floating) and low < high <= 1:
        raise ValueError(
            f"expected {name} in 0..255, got floating point in {low:g}..{high:g}; "
            "multiply pictures in 0..1 by 255."
        )
    return picture.astype(np.float64)
