"""Scores one fused picture, in whatever form the pictures come."""

from collections.abc import Sequence

import numpy as np

from refusion_jax import metrics
from refusion_jax.pictures.arrays import Source, as_photograph
from refusion_jax.pictures.codecs import to_luminance
from refusion_jax.pictures.levels import unit_of


def score(
    source_a: Source,
    source_b: Source,
    fused: Source,
    keys: Sequence[str] | None = None,
    *,
    levels: str = "full",
) -> dict[str, float]:
    """Scores a fused picture against its sources, as `evaluate` scores a folder.

    >>> black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    >>> score(black, white, np.full((8, 8, 3), 0.5), ["mse", "en"])
    {'mse': 16256.5, 'en': 0.0}

    Args:
      source_a, source_b, fused: files, images of Pillow's or arrays, as for
        `refusion_jax.fuse`; of one size. Colour is scored by its luminance, the Y of
        BT.601 of 8 bits, rounded half up.
      keys: keys of `metrics.METRICS` and `metrics.MEFB_METRICS`; None for all of the
        former.
      levels: black and white of grey sources of more than 8 bits, as for
        `refusion_jax.fuse`; the fused picture is read in full.

    Returns:
      One value per key, NaN where `metrics.compute` has none;
      `metrics.ALL_METRICS[key]` tells title, unit and direction.

    Raises:
      FileNotFoundError, ValueError: if a picture cannot be read, the sizes differ or
        there is no such metric.
    """
    keys = metrics.check_keys(keys)
    rules = (levels, levels, "full")
    pictures = (source_a, source_b, fused)
    a, b, made = (_luminance(x, rule) for x, rule in zip(pictures, rules, strict=True))
    scores = metrics.compute(a, b, made, keys)
    return {key: value + 0.0 for key, value in scores.items()}  # no -0.0


def _luminance(source: Source, levels: str) -> np.ndarray:
    photograph = as_photograph(source)
    pixels = photograph.pixels
    if pixels.dtype != np.uint8:
        unit = unit_of(pixels, levels, photograph.name)
        pixels = np.rint(unit * 255).astype(np.uint8)
    return to_luminance(pixels)
