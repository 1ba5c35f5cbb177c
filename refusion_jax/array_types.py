"""Shapes that recur in public signatures (jaxtyping; checked in tests only)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Array, Float, UInt8

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
# The label of pixels that no class claims: no loss and no score counts it.
UNLABELLED = 0
# A number of pixels or strips: an int, or a symbol in an export of any size.
Extent = Any


class Batch(NamedTuple):
    """The pairs of one step.

    Attributes:
      source_a, source_b: luminance in [0, 1].
      third: uint8 labels or a mask per pair; None where the data has none.
    """

    source_a: Image
    source_b: Image
    third: UInt8[Array, "batch height width"] | None = None
