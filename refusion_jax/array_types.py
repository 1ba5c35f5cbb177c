"""Shapes that recur in public signatures (jaxtyping; checked in tests only)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Array, Float

# Luminance, NHWC with one channel, in [0, 1] unless a docstring says otherwise.
Image = Float[Array, "batch height width 1"]
# One value per pixel and source; channel 0 belongs to source a.
PairMap = Float[Array, "batch height width 2"]
RgbImage = Float[Array, "*batch height width 3"]
Scalar = Float[Array, ""]
# A tree of arrays, as Flax makes it.
Params = Any
# Shape of each leaf of a tree, by its path, such as "decoder/norm1/scale".
Shapes = Mapping[str, tuple[int, ...]]


class WeightMaps(NamedTuple):
    """What P proposes: per-pixel preferences of the fusion loss, Eqs. 2 and 3.

    Attributes:
      intensity: w_a, w_b in [0, 1]; they sum to 1 at every pixel.
      gradient: v_a, v_b in [0, 1]; they sum to 1 at every pixel.
    """

    intensity: PairMap
    gradient: PairMap
