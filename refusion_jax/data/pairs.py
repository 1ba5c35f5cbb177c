"""Pairs of pictures: found in two folders by file stem, read as luminance."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refusion_jax.data.pictures import PICTURE_ENDINGS, read_picture, to_luminance


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
    stem is all before the last dot, case matters: `a.b.png` pairs with `a.b.jpg`.

    Args:
      folder_a, folder_b: folders of source a and source b.

    Returns:
      Pairs in the order of their stems; at least one.

    Raises:
      FileNotFoundError: if a folder does not exist.
      ValueError: if a folder is no folder or holds no pictures, if a picture has no
        partner, or if two pictures of one folder share a stem.
    """
    pictures_a, pictures_b = _pictures_by_stem(folder_a), _pictures_by_stem(folder_b)
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


def _pictures_by_stem(folder: str | os.PathLike[str]) -> dict[str, Path]:
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"expected a folder of pictures, got none at {folder}.")
    if not folder.is_dir():
        raise ValueError(f"expected a folder of pictures, got the file {folder}.")
    pictures: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_picture = path.suffix.lower() in PICTURE_ENDINGS
        if path.name.startswith(".") or not is_picture or path.is_dir():
            continue
        if path.stem in pictures:
            raise ValueError(
                f"expected one picture a stem in {folder}, got "
                f"{pictures[path.stem].name} and {path.name}; rename or remove one."
            )
        pictures[path.stem] = path
    if not pictures:
        raise ValueError(
            f"expected pictures ({', '.join(sorted(PICTURE_ENDINGS))}) in {folder}, "
            "got none; name the folder that holds them."
        )
    return pictures


def read_pairs(
    pairs: Iterable[Pair], minimum_size: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Reads pairs as 8-bit luminance.

    Args:
      pairs: as `find_pairs` returns them.
      minimum_size: the side of the square crop that must fit into every picture, in
        pixels; None accepts any size.

    Returns:
      One tuple a pair: uint8 luminance of a and of b, both (height, width).

    Raises:
      FileNotFoundError, ValueError: if a picture cannot be read, if the sizes of a pair
        differ, or if a picture is smaller than the crop.
    """
    return [_read_pair(pair, minimum_size) for pair in pairs]


def _read_pair(pair: Pair, minimum_size: int | None) -> tuple[np.ndarray, np.ndarray]:
    picture_a, picture_b = (
        to_luminance(read_picture(path)) for path in (pair.path_a, pair.path_b)
    )
    height, width = picture_a.shape
    if picture_a.shape != picture_b.shape:
        raise ValueError(
            f"expected a pair of one size, got {pair.path_a} of {width}x{height} and "
            f"{pair.path_b} of {picture_b.shape[1]}x{picture_b.shape[0]} pixels; crop "
            "or resize the pair first."
        )
    if minimum_size is not None and min(height, width) < minimum_size:
        raise ValueError(
            f"expected pictures of at least the crop's {minimum_size}x{minimum_size} "
            f"pixels, got {pair.path_a} of {width}x{height}; choose a smaller crop or "
            "remove the pair."
        )
    return picture_a, picture_b
