"""Fuses two volumes slice by slice, with one range for all slices."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from refusion_jax.fusing.inference import fuse_pictures, luminance_of
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.pictures.color import rgb_to_ycbcr, ycbcr_to_rgb
from refusion_jax.pictures.palettes import coloured_by
from refusion_jax.pictures.ranges import stretched_share
from refusion_jax.pictures.volumes import (
    AXES,
    on_grid_of,
    read_volume,
    window_of,
    write_volume,
)


class FusedVolume(NamedTuple):
    """Facts about a volume that was written.

    Attributes:
      size: columns, rows, slices, as the file has them.
      fused, kept: numbers of slices that were fused, and that were left as they are
        because one source does not show them.
    """

    size: tuple[int, int, int]
    fused: int
    kept: int


def fuse_volumes(
    model: FusionModel,
    sources: Sequence[Path],
    output: Path,
    *,
    windows: Sequence[str] = ("auto", "auto"),
    axis: str = "axial",
    palette: str = "grey",
) -> FusedVolume:
    """Fuses two volumes on the grid of the second.

    Args:
      model: what fuses.
      sources: the functional or CT volume, and the MRI: files or folders of a DICOM
        series, of one patient in one space.
      output: the file to write.
      windows: of each source, see `pictures.volumes.window_of`.
      axis: "axial", "coronal" or "sagittal": what slices are cut along.
      palette: colours of the first source, see `pictures.palettes`; "grey" gives a
        grey volume of uint16, the others one of RGB in uint8, grey where the first
        source shows nothing.

    Returns:
      Facts about the file, whose black and white are those of the whole volume.

    Raises:
      FileNotFoundError, ImportError, ValueError: if a source, a rule or the output
        cannot be used.
    """
    if axis not in AXES:
        raise ValueError(
            f"expected an axis among {', '.join(AXES)}, got {axis!r}; choose one."
        )
    first, second = (read_volume(source) for source in sources)
    bounds = [window_of(x, w) for x, w in zip((first, second), windows, strict=True)]
    values, own, known = on_grid_of(first, second)
    a, b = _shown(values, bounds[0]), _shown(own, bounds[1])
    # Where the first is not known, the second stands in: the network has to see both.
    a = np.where(known, a, b)
    a, b, known = (np.moveaxis(x, AXES[axis], 0) for x in (a, b, known))
    is_coloured = palette != "grey"
    is_fused = np.asarray(known.any(axis=(1, 2)))
    luminance = b.copy()
    places = np.flatnonzero(is_fused)
    raw, shares, means = [], [], []
    for place in places:
        shown = a[place]
        if is_coloured:
            shown = _in_palette(shown, known[place], palette)
        grey = np.asarray(luminance_of(shown))[..., 0]
        pair = (grey, b[place])
        raw.append(fuse_pictures(model, *pair, rules=Rules(output_range="none")))
        extremes = jnp.asarray([(x.min(), x.max()) for x in pair])
        shares.append(float(stretched_share(extremes)))
        means.append((grey + b[place]) / 2)
    low, high = _extremes(raw, shares)
    for place, fused, share, mean in zip(places, raw, shares, means, strict=True):
        stretched = np.clip((fused - low) / (high - low), 0, 1)
        luminance[place] = share * stretched + (1 - share) * mean
    if is_coloured:
        made = [
            _with_chroma_of(_in_palette(levels, is_known, palette), y)
            for levels, is_known, y in zip(a, known, luminance, strict=True)
        ]
        voxels = np.rint(255 * np.stack(made)).astype(np.uint8)
    else:
        voxels = np.rint(65535 * luminance.astype(np.float64)).astype(np.uint16)
    write_volume(output, np.moveaxis(voxels, 0, AXES[axis]), second)
    columns, rows, slices = second.image.GetSize()
    return FusedVolume((columns, rows, slices), len(places), len(b) - len(places))


def _shown(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    low, high = window
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)


def _extremes(
    raw: Sequence[np.ndarray], shares: Sequence[float]
) -> tuple[float, float]:
    """Returns black and white of the volume, by the slices that have a range."""
    having = [x for x, share in zip(raw, shares, strict=True) if share == 1] or raw
    low, high = min(x.min() for x in having), max(x.max() for x in having)
    return float(low), float(high) if high > low else float(low) + 1


def _in_palette(levels: np.ndarray, known: np.ndarray, palette: str) -> np.ndarray:
    """Returns a slice in colour, grey where the second source stands in."""
    return np.where(known[..., None], coloured_by(levels, palette), levels[..., None])


def _with_chroma_of(rgb: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    chroma = rgb_to_ycbcr(jnp.asarray(rgb))[..., 1:]
    joined = jnp.concatenate([jnp.asarray(luminance)[..., None], chroma], axis=-1)
    return np.asarray(jnp.clip(ycbcr_to_rgb(joined), 0, 1))
