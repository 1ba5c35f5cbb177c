"""What the learned loss prefers where: P's maps w and v of a pair, as files.

Figs. 8 to 11 of the paper colour them from blue (0) to red (1).
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from refusion_jax.array_types import Image, Params, WeightMaps
from refusion_jax.files.atomic import replace_file
from refusion_jax.fusing.inference import aligned_pictures, luminance_of
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.pictures.photographs import Photograph
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.panel import make_panel, to_bytes


def propose_maps(
    params: Params,
    photographs: Sequence[Photograph],
    *,
    align: str = "none",
    levels: str = "full",
) -> dict[str, np.ndarray]:
    """The maps of one pair.

    Args:
      params: theta_P.
      photographs: two, in the order of training.
      align, levels: as for `inference.fuse`.

    Returns:
      w_a, w_b (intensity) and v_a, v_b (gradient) by name, float32 in [0, 1], (height,
      width); w_a + w_b = v_a + v_b = 1.

    Raises:
      ValueError: if there are not two, or their sizes differ.
    """
    if len(photographs) != 2:
        raise ValueError(
            f"expected two sources for the loss maps, got {len(photographs)}; P weighs "
            "one against the other."
        )
    pictures = aligned_pictures(photographs, align=align, levels=levels)
    a, b = (luminance_of(picture)[None] for picture in pictures)
    intensity, gradient = (np.asarray(pair[0]) for pair in _propose(params, a, b))
    return {
        "w_a": intensity[..., 0],
        "w_b": intensity[..., 1],
        "v_a": gradient[..., 0],
        "v_b": gradient[..., 1],
    }


@jax.jit
def _propose(params: Params, source_a: Image, source_b: Image) -> WeightMaps:
    propose = in_precision(networks.propose, "float32")
    return propose(params, source_a, source_b)


def write_maps(folder: Path, maps: Mapping[str, np.ndarray], fused: np.ndarray) -> None:
    """Writes maps as arrays, as grey pictures and as one coloured panel.

    Args:
      folder: gets maps.npz, one NAME.png a map (black 0, white 1) and panel.png; is
        created where it is missing.
      maps: w_a, w_b, v_a, v_b by name, in [0, 1].
      fused: the picture to show beside them: uint8 or uint16, of the maps' size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **maps)  # type: ignore[arg-type]
    replace_file(folder / "maps.npz", arrays.getvalue())
    for name, values in maps.items():
        write_picture(folder / f"{name}.png", to_bytes(values))
    coloured = {name: color_map(values) for name, values in maps.items()}
    panel = make_panel(
        [
            {"fused": fused / np.float32(np.iinfo(fused.dtype).max)},
            {name: coloured[name] for name in ("w_a", "w_b")},
            {name: coloured[name] for name in ("v_a", "v_b")},
        ]
    )
    write_picture(folder / "panel.png", panel)
