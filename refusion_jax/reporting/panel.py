"""A sheet of labelled pictures that shows the progress of a training run."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

LABEL_HEIGHT = 14  # pixels, for Pillow's built-in font
GAP = 4


def make_panel(rows: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """Draws rows of pictures with a label above each.

    Args:
      rows: for each row, pictures by label: height x width or height x width x 3, uint8
        or floats in [0, 1]; all of one size.

    Returns:
      A picture, uint8, height x width x 3.

    Examples:
      >>> row = {"source a": np.zeros((20, 30)), "fused": np.ones((20, 30))}
      >>> make_panel([row]).shape
      (42, 72, 3)
    """
    height, width = next(iter(rows[0].values())).shape[:2]
    columns = max(len(row) for row in rows)
    sheet = Image.new(
        "RGB",
        (
            columns * (width + GAP) + GAP,
            len(rows) * (height + LABEL_HEIGHT + GAP) + GAP,
        ),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        for j, (label, picture) in enumerate(row.items()):
            left = GAP + j * (width + GAP)
            top = GAP + i * (height + LABEL_HEIGHT + GAP)
            draw.text((left, top), label, fill="black")
            sheet.paste(
                Image.fromarray(to_bytes(picture)).convert("RGB"),
                (left, top + LABEL_HEIGHT),
            )
    return np.asarray(sheet)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """Converts floats in [0, 1] to bytes, rounded; returns bytes unchanged.

    Args:
      picture: uint8, or floats, which are clipped to [0, 1].

    Returns:
      uint8 of the same shape.

    Examples:
      >>> to_bytes(np.array([-0.1, 0.2, 0.5, 1.5]))
      array([  0,  51, 128, 255], dtype=uint8)
    """
    if picture.dtype == np.uint8:
        return picture
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
