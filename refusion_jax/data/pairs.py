"""Pairs of pictures: found in two folders by file stem, read as luminance."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from refusion_jax.data.pictures import PICTURE_ENDINGS, read_picture, to_luminance
from refusion_jax.data.sources import Luminances

ALIGNMENTS = ("none", "crop", "resize")


class Pair(NamedTuple):
    """Two pictures of one scene.

    Attributes:
      stem: the file name that both share, without its ending.
      path_a, path_b: the files of source a and source b.
    """

    stem: str
    path_a: Path
    path_b: Path


def find_pairs(
    folder_a: str | os.PathLike[str], folder_b: str | os.PathLike[str]
) -> list[Pair]:
    """Pairs the pictures of two folders by file stem; endings may differ.

    Hidden files, subfolders, and files whose ending is not a picture's (such as
    Thumbs.db or notes.txt) are ignored; any other file must have its partner. The
    stem is all before the last dot, case matters: `a.b.png` pairs with `a.b.jpg`. An
    accent may be one character or two (as macOS writes it): the names are equal.

    Args:
      folder_a, folder_b: folders of source a and source b.

    Returns:
      Pairs in the order of their stems; at least one.

    Raises:
      FileNotFoundError: if a folder does not exist.
      ValueError: if a folder is no folder or holds no pictures, if a picture has no
        partner, or if two pictures of one folder share a stem.
    """
    pictures_a, pictures_b = pictures_by_stem(folder_a), pictures_by_stem(folder_b)
    unpaired = sorted(pictures_a.keys() ^ pictures_b.keys())
    if unpaired:
        stem = unpaired[0]
        present, absent = (
            (pictures_a[stem], folder_b)
            if stem in pictures_a
            else (pictures_b[stem], folder_a)
        )
        raise ValueError(
            f"expected a partner for every picture, got {len(unpaired)} without one, "
            f"the first {present}, whose partner {stem}.* is missing in {absent}; add "
            "the partners or remove the pictures."
        )
    return [
        Pair(stem, pictures_a[stem], pictures_b[stem]) for stem in sorted(pictures_a)
    ]


def pictures_by_stem(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The picture files of a folder, see `find_pairs` for what counts.

    Args:
      folder: a folder with at least one picture.

    Returns:
      File by stem, in the order of the file names.

    Raises:
      FileNotFoundError: if the folder does not exist.
      PermissionError: if it cannot be listed.
      ValueError: if it is no folder, holds no pictures, or two of one stem.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"expected a folder of pictures, got none at {folder}.")
    if not folder.is_dir():
        raise ValueError(f"expected a folder of pictures, got the file {folder}.")
    try:
        paths = sorted(folder.iterdir())
    except PermissionError as error:
        raise PermissionError(
            f"expected a folder that may be listed, got no permission for {folder}; "
            "change its access rights."
        ) from error
    pictures: dict[str, Path] = {}
    for path in paths:
        is_picture = path.suffix.lower() in PICTURE_ENDINGS
        if path.name.startswith(".") or not is_picture or path.is_dir():
            continue
        stem = unicodedata.normalize("NFC", path.stem)
        if stem in pictures:
            raise ValueError(
                f"expected one picture a stem in {folder}, got "
                f"{pictures[stem].name} and {path.name}; rename or remove one."
            )
        pictures[stem] = path
    if not pictures:
        raise ValueError(
            f"expected pictures ({', '.join(sorted(PICTURE_ENDINGS))}) in {folder}, "
            "got none; name the folder that holds them."
        )
    return pictures


def read_pairs(
    pairs: Iterable[Pair],
    minimum_size: int | None = None,
    *,
    align: str = "none",
    levels: str = "full",
) -> list[Luminances]:
    """Reads pairs as 8-bit luminance.

    Args:
      pairs: as `find_pairs` returns them.
      minimum_size: the side of the square crop that must fit into every picture, in
        pixels; None accepts any size.
      align: what to do with two sizes in a pair, see `align_pair`.
      levels: range rule of 16-bit grey, see `data.levels`.

    Returns:
      One tuple a pair: uint8 luminance of a and of b, both (height, width).

    Raises:
      FileNotFoundError, ValueError: if a picture cannot be read, if the sizes of a pair
        differ, or if a picture is smaller than the crop.
    """
    return [_read_pair(pair, minimum_size, align, levels) for pair in pairs]


def align_pair(
    picture_a: np.ndarray, picture_b: np.ndarray, align: str, names: tuple[str, str]
) -> Luminances:
    """Gives the pictures of a pair one size.

    This makes the sizes equal, not the contents: it registers nothing.

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
    if align not in ALIGNMENTS:
        raise ValueError(
            f"expected align to be one of {', '.join(ALIGNMENTS)}, got {align!r}; "
            "choose one of these."
        )
    size_a, size_b = picture_a.shape[:2], picture_b.shape[:2]
    if size_a == size_b:
        return picture_a, picture_b
    if align == "none":
        raise ValueError(
            f"expected a pair of one size, got {names[0]} of {size_a[1]}x{size_a[0]} "
            f"and {names[1]} of {size_b[1]}x{size_b[0]} pixels; crop or resize the "
            "pair first, or choose align=crop or align=resize."
        )
    if align == "crop":
        size = (min(size_a[0], size_b[0]), min(size_a[1], size_b[1]))
        return _middle(picture_a, size), _middle(picture_b, size)
    resized = Image.fromarray(picture_b).resize(size_a[::-1], Image.Resampling.BICUBIC)
    return picture_a, np.asarray(resized)


def _middle(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    top, left = (picture.shape[i] - size[i] for i in (0, 1))
    return picture[top // 2 : top // 2 + size[0], left // 2 : left // 2 + size[1]]


def _read_pair(
    pair: Pair, minimum_size: int | None, align: str, levels: str
) -> Luminances:
    picture_a, picture_b = align_pair(
        to_luminance(read_picture(pair.path_a, levels=levels)),
        to_luminance(read_picture(pair.path_b, levels=levels)),
        align,
        (str(pair.path_a), str(pair.path_b)),
    )
    height, width = picture_a.shape
    if minimum_size is not None and min(height, width) < minimum_size:
        raise ValueError(
            f"expected pictures of at least the crop's {minimum_size}x{minimum_size} "
            f"pixels, got {pair.path_a} of {width}x{height}; choose a smaller crop or "
            "remove the pair."
        )
    return picture_a, picture_b
