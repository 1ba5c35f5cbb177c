"""Writes the pictures and parameters that all contenders of a contest read."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from peers import files

from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.store import load_any_weights, save_weights

LEARNING_RATE = 1e-4


def write_weights(folder: Path, fusion_weights: str | None = None) -> None:
    """Writes the three networks with fresh parameters, or F's with those given.

    Args:
      folder: an existing one.
      fusion_weights: as `weights.store.load_any_weights` takes it.
    """
    params = networks.init_params(jax.random.key(0))
    if fusion_weights:
        params = params._replace(
            fusion=load_any_weights(fusion_weights).trees["fusion"]
        )
    save_weights(folder / files.WEIGHTS, params)


def write_pair(folder: Path, batch: int, height: int, width: int) -> None:
    """Writes a pair to fuse.

    Args:
      folder: an existing one.
      batch, height, width: of the pictures.
    """
    sources: dict[str, Any] = {
        f"source_{name}": scenes(seed, batch, height, width)
        for seed, name in enumerate("ab")
    }
    np.savez(folder / files.INPUTS, **sources)


def write_batches(folder: Path, batch: int, size: int) -> None:
    """Writes an inner and an outer batch to train on.

    Args:
      folder: an existing one.
      batch, size: square pictures.
    """
    pictures: dict[str, Any] = {
        f"{name}_{source}": scenes(10 * place + seed, batch, size, size)
        for place, name in enumerate(("inner", "outer"))
        for seed, source in enumerate("ab")
    }
    np.savez(folder / files.INPUTS, **pictures, learning_rate=LEARNING_RATE)


def scenes(seed: int, batch: int, height: int, width: int) -> np.ndarray:
    """Draws smooth noise of three scales over the whole range.

    Args:
      seed: of the noise.
      batch, height, width: of the pictures.

    Returns:
      float32 in [0, 1], NHWC.
    """
    generator = np.random.default_rng(seed)
    total = generator.normal(scale=0.25, size=(batch, height, width))
    for block in (4, 20, 80):
        rows, columns = -(-height // block), -(-width // block)
        coarse = generator.normal(size=(batch, rows, columns))
        fine = coarse.repeat(block, axis=1).repeat(block, axis=2)
        total += fine[:, :height, :width]
    low, high = total.min(), total.max()
    return ((total - low) / (high - low)).astype(np.float32)[..., None]
