"""Brings all pictures of a scene to one size.

Only the sizes are made equal, except by "register", which also brings the contents onto
each other, see `pictures.registration`.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from refusion_jax.pictures.names import ALIGNMENTS
from refusion_jax.pictures.notes import note
from refusion_jax.pictures.registration import find_motion, largest_rectangle, moved


def align_pair(
    picture_a: np.ndarray, picture_b: np.ndarray, align: str, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Brings the two pictures of a pair to one size.

    Args:
      picture_a, picture_b: uint8, (height, width) or (height, width, 3).
      align: "none" rejects pictures of different sizes; "crop" cuts the central area
        of the common size from both; "resize" scales b to the size of a (bicubic, and
        all of b is kept); "resize-largest" scales the one of fewer pixels to the size
        of the other; "register" moves b onto a, whatever the sizes, and cuts both to
        what b shows.
      names: names of the two pictures for error messages.

    Returns:
      The pair; the same arrays if the sizes are already equal and not registered.

    Raises:
      ImportError: for "register" without SimpleITK.
      ValueError: if the sizes differ under "none", naming both pictures and their
        sizes; or if `align` is unknown, listing the choices.

    Examples:
      >>> wide, tall = np.zeros((4, 8), np.uint8), np.zeros((6, 5), np.uint8)
      >>> [x.shape for x in align_pair(wide, tall, "crop", ("wide", "tall"))]
      [(4, 5), (4, 5)]
    """
    if align == "register":
        return _registered(picture_a, picture_b, names)
    size = common_size([picture_a.shape, picture_b.shape], align, names)
    return fit(picture_a, size, align), fit(picture_b, size, align)


def _registered(
    picture_a: np.ndarray, picture_b: np.ndarray, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns both pictures, b on a, cut to what b shows."""
    luminances = [x if x.ndim == 2 else x.mean(axis=-1) for x in (picture_a, picture_b)]
    other, is_known = moved(picture_b, find_motion(*luminances, names=names))
    shown = largest_rectangle(is_known)
    return picture_a[shown], other[shown]


def common_size(
    shapes: Sequence[tuple[int, ...]], align: str, names: Sequence[str]
) -> tuple[int, int]:
    """Returns the common size of the pictures of a scene, see `align_pair`.

    Args:
      shapes: shapes of the pictures, height and width first.
      align: "none" (all must be equal), "crop" (the smallest height and the smallest
        width), "resize" (the size of the first picture) or "resize-largest" (that of
        the picture with the most pixels).
      names: names of the pictures for error messages.

    Returns:
      Height and width.

    Raises:
      ValueError: if the sizes differ under "none", naming the first two that differ; or
        if `align` is unknown, listing the choices.

    Warns:
      PictureWarning: if "resize" leaves less than half of a picture's pixels.

    Examples:
      >>> common_size([(4, 8), (6, 5)], "crop", ("wide", "tall"))
      (4, 5)
      >>> common_size([(4, 8), (6, 5)], "resize", ("wide", "tall"))
      (4, 8)
    """
    check_alignment(align)
    heights, widths = [shape[0] for shape in shapes], [shape[1] for shape in shapes]
    if align == "crop":
        return min(heights), min(widths)
    for i in range(1, len(shapes)):
        if align == "none" and shapes[i][:2] != shapes[0][:2]:
            raise ValueError(
                f"expected a pair of equal size, got {names[0]} of "
                f"{widths[0]}x{heights[0]} and {names[i]} of {widths[i]}x{heights[i]} "
                "pixels; crop or resize the pair first, or choose align=crop, "
                "align=resize (to the first) or align=resize-largest."
            )
    areas = [height * width for height, width in zip(heights, widths, strict=True)]
    largest = areas.index(max(areas))
    if align == "resize-largest":
        return heights[largest], widths[largest]
    if align == "resize" and areas[largest] > 2 * areas[0]:
        note(
            f"{names[largest]} of {widths[largest]}x{heights[largest]} pixels is "
            f"scaled down to {widths[0]}x{heights[0]} of {names[0]}, which leaves "
            f"1/{round(areas[largest] / areas[0])} of its pixels; align=resize-largest "
            "keeps all of them."
        )
    return heights[0], widths[0]


def check_alignment(align: str) -> None:
    """Raises unless `align` is one of `ALIGNMENTS`.

    Args:
      align: the name of an alignment.

    Raises:
      ValueError: if there is no such alignment, listing the choices.
    """
    if align not in ALIGNMENTS:
        raise ValueError(
            f"expected align to be one of {', '.join(ALIGNMENTS)}, got {align!r}; "
            "choose one of these."
        )


def fit(picture: np.ndarray, size: tuple[int, int], align: str) -> np.ndarray:
    """Crops or scales one picture to a size.

    Args:
      picture: uint8, uint16, or float32 in [0, 1]; (height, width) or (height, width,
        3).
      size: height and width, as `common_size` returns them.
      align: "crop", or one that resizes; ignored if the picture already has this size.

    Returns:
      The picture in this size; the same array if it already has it.

    Examples:
      >>> fit(np.arange(12, dtype=np.uint8).reshape(3, 4), (1, 2), "crop")
      array([[5, 6]], dtype=uint8)
    """
    if picture.shape[:2] == size:
        return picture
    if align == "crop":
        top, left = (picture.shape[i] - size[i] for i in (0, 1))
        return picture[top // 2 : top // 2 + size[0], left // 2 : left // 2 + size[1]]
    if picture.dtype == np.uint8:
        return _scaled(picture, size)
    if picture.dtype == np.uint16:  # which Pillow scales in grey only, and rounds down
        return np.rint(
            65535 * fit((picture / 65535).astype(np.float32), size, align)
        ).astype(np.uint16)
    channels = [_scaled(x, size) for x in np.atleast_3d(picture).transpose(2, 0, 1)]
    # Bicubic interpolation overshoots at edges.
    return np.clip(np.stack(channels, axis=-1), 0, 1).reshape(*size, *picture.shape[2:])


def _scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(picture)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))
