"""Pairs of pictures: found in two folders by file stem, read as luminance."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
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


class Group(NamedTuple):
    """Pictures of one scene, two or more.

    Attributes:
      stem: the file name that all share, without its ending.
      paths: the files, in the order of the sources.
    """

    stem: str
    paths: tuple[Path, ...]


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
    return [Pair(stem, *paths) for stem, paths in find_groups([folder_a, folder_b])]


def find_groups(folders: Sequence[str | os.PathLike[str]]) -> list[Group]:
    """`find_pairs` for any number of folders.

    Args:
      folders: one a source.

    Returns:
      Groups in the order of their stems; at least one.

    Raises:
      FileNotFoundError, ValueError: as `find_pairs` does.
    """
    tables = [pictures_by_stem(folder) for folder in folders]
    stems = sorted(set().union(*tables))
    partial_stems = [stem for stem in stems if any(stem not in t for t in tables)]
    if partial_stems:
        stem = partial_stems[0]
        present = next(table[stem] for table in tables if stem in table)
        absent = next(
            folder
            for folder, table in zip(folders, tables, strict=True)
            if stem not in table
        )
        raise ValueError(
            f"expected a partner for every picture, got {len(partial_stems)} without "
            f"one, the first {present}, whose partner {stem}.* is missing in {absent}; "
            "add the partners or remove the pictures."
        )
    return [Group(stem, tuple(table[stem] for table in tables)) for stem in stems]


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
