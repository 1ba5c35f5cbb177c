"""What every reader returns: pixels at their own depth, and transparency."""

from typing import NamedTuple

import numpy as np


class Raster(NamedTuple):
    """Pixels and transparency.

    Attributes:
      pixels: uint8, uint16 or, for measured values without a scale, float64; (height,
        width) or (height, width, 3); upright.
      alpha: uint8 or uint16, (height, width); None if there is none.
      icc_profile: where the reader found it and Pillow cannot; else None.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
