"""Fixed patches by the rule of the authors' group, as an alternative to random crops.

Patches of 128 x 128 pixels lie on a grid of stride 200, and a patch is dropped if
either source has too little contrast in it: (p90 - p10) / p90 < 0.1, where p10 and p90
are its 10th and 90th percentiles (dataprocessing.py of MMIF-CDDFuse, by the same group;
ReFusion's own is not published). A picture of 640 x 480, as in MSRS, has 6 patches
before any is dropped.

A patch is a small pair: what accepts pairs accepts patches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refusion_jax.data.sources import Luminances, PairSource, pictures_of, repeats_of

SIZE = 128
STRIDE = 200
CONTRAST = 0.1


class Patch(NamedTuple):
    """Where a patch lies.

    Attributes:
      pair: index of the pair.
      top, left: its first pixel.
    """

    pair: int
    top: int
    left: int


def corners(
    height: int, width: int, *, size: int = SIZE, stride: int = STRIDE
) -> list[tuple[int, int]]:
    """Returns the grid of patches of one picture.

    Args:
      height, width: of the picture.
      size: side of a patch, at least 1; patches that do not fit are left out.
      stride: between patches, at least 1.

    Returns:
      (top, left) of each patch, row by row; none in a picture smaller than a patch.

    Raises:
      ValueError: if size or stride is below 1.
    """
    if size < 1 or stride < 1:
        raise ValueError(
            f"expected a patch size and a stride of at least 1, got {size} and "
            f"{stride}; choose larger ones."
        )
    return [
        (top, left)
        for top in range(0, height - size + 1, stride)
        for left in range(0, width - size + 1, stride)
    ]


def has_low_contrast(patch: np.ndarray, threshold: float = CONTRAST) -> bool:
    """Returns whether (p90 - p10) / p90 < threshold, the group's test.

    Args:
      patch: luminance in any range where black is 0.
      threshold: in 0..1; at 0 only black patches are low in contrast.

    Returns:
      True if the patch is to be dropped.

    Note:
      If p90 = 0, the group's code divides 0 by 0, and the comparison keeps the patch.
      Nine tenths of such a patch are black, so we drop it.
    """
    low, high = np.percentile(patch, (10, 90))
    return bool(high == 0 or (high - low) / high < threshold)


def kept_corners(
    pair: Luminances,
    *,
    size: int = SIZE,
    stride: int = STRIDE,
    threshold: float = CONTRAST,
) -> list[tuple[int, int]]:
    """Returns the patches of one pair that have contrast in both sources.

    Args:
      pair: luminance of a and b, (height, width), of one size.
      size, stride: as for `corners`.
      threshold: as for `has_low_contrast`.

    Returns:
      (top, left) of each kept patch.
    """
    height, width = pair[0].shape
    return [
        (top, left)
        for top, left in corners(height, width, size=size, stride=stride)
        if not any(
            has_low_contrast(picture[top : top + size, left : left + size], threshold)
            for picture in pictures_of(pair)
        )
    ]


def find_patches(
    pairs: PairSource,
    *,
    size: int = SIZE,
    stride: int = STRIDE,
    threshold: float = CONTRAST,
) -> list[Patch]:
    """Returns all kept patches of many pairs; reads each pair once.

    Args:
      pairs: luminance pairs, as a list or read from disk one by one.
      size, stride: as for `corners`.
      threshold: as for `has_low_contrast`.

    Returns:
      The patches, in the order of the pairs.

    Raises:
      ValueError: if none is left.
    """
    found = [
        Patch(i, top, left)
        for i in range(len(pairs))
        for top, left in kept_corners(
            pairs[i], size=size, stride=stride, threshold=threshold
        )
    ]
    if not found:
        raise ValueError(
            f"expected at least one patch of {size}x{size} pixels with contrast, got "
            f"none in {len(pairs)} pairs; choose smaller patches or random crops."
        )
    return found


class PatchedPairs:
    """Patches as pairs, cut on demand."""

    def __init__(
        self, pairs: PairSource, patches: Sequence[Patch], size: int = SIZE
    ) -> None:
        """Remembers where the patches lie.

        Args:
          pairs: to cut the patches from.
          patches: of `find_patches`.
          size: side of a patch.
        """
        self._pairs, self._patches, self._size = pairs, patches, size

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each patch."""
        return [(self._size, self._size)] * len(self._patches)

    @property
    def repeats(self) -> list[int]:
        """How often each patch counts: as often as its pair."""
        repeats = repeats_of(self._pairs)
        return [repeats[patch.pair] for patch in self._patches]

    @property
    def origins(self) -> list[int]:
        """Index of the pair that each patch is cut from."""
        return [patch.pair for patch in self._patches]

    def __len__(self) -> int:
        """Returns the number of patches."""
        return len(self._patches)

    def __getitem__(self, index: int) -> Luminances:
        """Returns what a pair has in one patch, each size x size."""
        pair, top, left = self._patches[index]
        rows, columns = slice(top, top + self._size), slice(left, left + self._size)
        picture_a, picture_b, *labels = self._pairs[pair]
        cut = picture_a[rows, columns], picture_b[rows, columns]
        return (*cut, labels[0][rows, columns]) if labels else cut
