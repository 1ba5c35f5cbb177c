"""Colour maps that nuclear medicine shows its pictures in, by name."""

import numpy as np

from refusion_jax.pictures.names import PALETTES

# Colours at equal steps from the lowest level to the highest.
_COLOURS = {
    "hot": [(0, 0, 0), (128, 0, 0), (255, 0, 0), (255, 128, 0), (255, 255, 0),
            (255, 255, 128), (255, 255, 255)],
    "spectrum": [(0, 0, 0), (96, 0, 160), (0, 0, 255), (0, 200, 200), (0, 200, 0),
                 (255, 255, 0), (255, 128, 0), (255, 0, 0), (255, 255, 255)],
    "grey": [(0, 0, 0), (255, 255, 255)],
}  # fmt: skip


def coloured_by(levels: np.ndarray, palette: str) -> np.ndarray:
    """Returns grey in the colours of a palette.

    Args:
      levels: in [0, 1], of any shape.
      palette: one of `names.PALETTES`.

    Returns:
      float32 RGB in [0, 1], with a last axis of 3.

    Raises:
      ValueError: if there is no such palette, listing them.

    Examples:
      >>> coloured_by(np.array([0.0, 0.5, 1.0]), "hot").tolist()[1]
      [1.0, 0.501960813999176, 0.0]
    """
    if palette not in PALETTES:
        raise ValueError(
            f"expected a palette among {', '.join(PALETTES)}, got {palette!r}; choose "
            "one of these."
        )
    colours = np.array(_COLOURS[palette]) / 255
    steps = np.linspace(0, 1, len(colours))
    channels = [np.interp(levels, steps, channel) for channel in colours.T]
    return np.stack(channels, axis=-1).astype(np.float32)
