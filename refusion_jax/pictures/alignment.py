"""One size for all pictures of a scene.

This makes sizes equal, not contents: nothing is registered.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from refusion_jax.pictures.names import ALIGNMENTS


def align_pair(
    picture_a: np.ndarray, picture_b: np.ndarray, align: str, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Gives the pictures of a pair one size.

    Args:
      picture_a, picture_b: uint8, (height, width) or (height, width, 3).
      align: "none" refuses two sizes; "crop" cuts the middle of the common size from
        both; "resize" scales b to the size of a (bicubic, all of b is kept).
      names: what an error message calls the two.

    Returns:
      The pair; the same arrays where the sizes are equal.

    Raises:
      ValueError: naming both and their sizes; or listing the choices of `align`.
    """
    size = common_size([picture_a.shape, picture_b.shape], align, names)
    return fit(picture_a, size, align), fit(picture_b, size, align)


def common_size(
    shapes: Sequence[tuple[int, ...]], align: str, names: Sequence[str]
) -> tuple[int, int]:
    """The one size that pictures of a scene get, see `align_pair`.

    Args:
      shapes: of the pictures, height and width first.
      align: "none", "crop" (the smallest height and width) or "resize" (the first's).
      names: what an error message calls the pictures.

    Returns:
      Height and width.

    Raises:
      ValueError: naming the first two that differ; or listing the choices of `align`.
    """
    check_alignment(align)
    heights, widths = [shape[0] for shape in shapes], [shape[1] for shape in shapes]
    if align == "crop":
        return min(heights), min(widths)
    for i in range(1, len(shapes)):
        if align == "none" and shapes[i][:2] != shapes[0][:2]:
            raise ValueError(
                f"expected a pair of one size, got {names[0]} of "
                f"{widths[0]}x{heights[0]} and {names[i]} of {widths[i]}x{heights[i]} "
                "pixels; crop or resize the pair first, or choose align=crop or "
                "align=resize."
            )
    return heights[0], widths[0]


def check_alignment(align: str) -> None:
    """Refuses what is no way to align.

    Args:
      align: one of `ALIGNMENTS`.

    Raises:
      ValueError: listing them.
    """
    if align not in ALIGNMENTS:
        raise ValueError(
            f"expected align to be one of {', '.join(ALIGNMENTS)}, got {align!r}; "
            "choose one of these."
        )


def fit(picture: np.ndarray, size: tuple[int, int], align: str) -> np.ndarray:
    """Crops or scales one picture.

    Args:
      picture: uint8, or float32 in [0, 1]; (height, width) or (height, width, 3).
      size: height and width, as `common_size` returns them.
      align: "crop" or "resize"; of a picture of this size nothing is asked.

    Returns:
      The picture in that size; the same array where it has it.
    """
    if picture.shape[:2] == size:
        return picture
    if align == "crop":
        top, left = (picture.shape[i] - size[i] for i in (0, 1))
        return picture[top // 2 : top // 2 + size[0], left // 2 : left // 2 + size[1]]
    if picture.dtype == np.uint8:
        return _scaled(picture, size)
    channels = [_scaled(x, size) for x in np.atleast_3d(picture).transpose(2, 0, 1)]
    # Bicubic interpolation overshoots at edges.
    return np.clip(np.stack(channels, axis=-1), 0, 1).reshape(*size, *picture.shape[2:])


def _scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(picture)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))
