"""Maps that explain how a pair is fused, such as the loss maps w and v of ReFusion.

In the panel 0 is blue, 1/2 near white and 1 brown, which all eyes tell apart; Figs. 8
to 11 of its paper go from blue to red.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from refusion_jax.files.atomic import replace_file
from refusion_jax.fusing.inference import aligned_pictures, luminance_of, on_each_other
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.pictures.photographs import Photograph
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.panel import make_panel, to_bytes


def maps_of(
    model: FusionModel, photographs: Sequence[Photograph], rules: Rules
) -> dict[str, np.ndarray]:
    """Returns the maps by which a model explains how it fuses a pair.

    Args:
      model: one whose weights can make maps.
      photographs: two, in the order of training.
      rules: `align` and `levels` are read.

    Returns:
      Map by name, float32 in [0, 1], (height, width); ReFusion's are w_a, w_b
      (intensity) and v_a, v_b (gradient), with w_a + w_b = v_a + v_b = 1.

    Raises:
      ValueError: if there are not two, their sizes differ, or the weights make no maps.
    """
    if len(photographs) != 2:
        raise ValueError(
            f"expected two sources for the maps, got {len(photographs)}; choose two, "
            "which the maps weigh against each other."
        )
    photographs, rules, _ = on_each_other(photographs, rules)
    pictures = aligned_pictures(photographs, rules)
    a, b = (luminance_of(make()) for make in pictures)
    return model.maps(a, b)


def write_maps(folder: Path, maps: Mapping[str, np.ndarray], fused: np.ndarray) -> None:
    """Writes maps as arrays, as grey pictures and as one coloured panel.

    Args:
      folder: receives maps.npz, one NAME.png per map (black 0, white 1) and panel.png;
        created if missing.
      maps: by name, in [0, 1]; the panel has two in a row, in their order.
      fused: the picture to show beside them, uint8 or uint16, of the maps' size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **maps)  # type: ignore[arg-type]
    replace_file(folder / "maps.npz", arrays.getvalue())
    for name, values in maps.items():
        write_picture(folder / f"{name}.png", to_bytes(values))
    coloured = [(name, color_map(values)) for name, values in maps.items()]
    rows = [dict(coloured[i : i + 2]) for i in range(0, len(coloured), 2)]
    shown = {"fused": fused / np.float32(np.iinfo(fused.dtype).max)}
    write_picture(folder / "panel.png", make_panel([shown, *rows]))
