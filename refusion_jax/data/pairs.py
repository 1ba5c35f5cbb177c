"""Pairs of pictures: found in two folders by file stem, read as luminance."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from refusion_jax.data.sources import Luminances
from refusion_jax.files.pairing import matched
from refusion_jax.pictures.alignment import align_pair
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.names import PICTURE_ENDINGS, UNREADABLE_ENDINGS
from refusion_jax.pictures.notes import note

# Beginnings of names of folders that system programs make.
_SYSTEM = (".", "@", "__MACOSX")


class Pair(NamedTuple):
    """Two pictures of one scene.

    Attributes:
      stem: the file name of the first, without its ending; by a pattern, what stands
        for its {}.
      path_a, path_b: the files of source a and source b.
      levels, align: how they are read where they are scored, see `pictures.levels` and
        `pictures.alignment`.
      truth: the file of the true picture that a fused one is compared with; or None.
    """

    stem: str
    path_a: Path
    path_b: Path
    levels: str = "full"
    align: str = "none"
    truth: Path | None = None


class Group(NamedTuple):
    """Pictures of one scene, two or more.

    Attributes:
      stem: the file name of the first, without its ending; by a pattern, what stands
        for its {}.
      paths: the files, in the order of the sources.
    """

    stem: str
    paths: tuple[Path, ...]


def find_pairs(
    folder_a: str | os.PathLike[str],
    folder_b: str | os.PathLike[str],
    *,
    pair: str = "name",
) -> list[Pair]:
    """Pairs the pictures of two folders by file stem; endings may differ.

    Hidden files, subfolders, and files whose ending is not that of a picture (such as
    Thumbs.db or notes.txt) are ignored; any other file must have its partner. The stem
    is everything before the last dot: `a.b.png` pairs with `a.b.jpg`. Names are equal
    whether an accented letter is one character or two (as macOS writes it). Stems that
    differ in one way only are paired too, see `files.pairing`, and it is said.

    Args:
      folder_a, folder_b: folders of source a and source b.
      pair: how names are paired, see `files.pairing`.

    Returns:
      Pairs in the order of their stems; at least one.

    Raises:
      FileNotFoundError: if a folder does not exist.
      ValueError: if a folder is a file or holds no pictures, if a picture has no
        partner, or if two pictures of one folder share a stem.
    """
    groups = find_groups([folder_a, folder_b], pair=pair)
    return [Pair(stem, paths[0], paths[1]) for stem, paths in groups]


def find_groups(
    folders: Sequence[str | os.PathLike[str]],
    *,
    pair: str = "name",
    is_recursive: bool = False,
) -> list[Group]:
    """Groups the pictures of any number of folders, as `find_pairs` does of two.

    Args:
      folders: one per source.
      pair: how names are paired, see `files.pairing`.
      is_recursive: whether subfolders count: stems are then paths in the folders.

    Returns:
      Groups in the order of their stems; at least one.

    Raises:
      FileNotFoundError, ValueError: as `find_pairs` does.
    """
    tables, remark, hint = matched(
        [pictures_by_stem(x, is_recursive=is_recursive) for x in folders], pair
    )
    if remark is not None:
        note(remark)
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
            f"{hint or 'add the partners or remove the pictures'}."
        )
    return [Group(stem, tuple(table[stem] for table in tables)) for stem in stems]


def pictures_by_stem(
    folder: str | os.PathLike[str], *, is_recursive: bool = False
) -> dict[str, Path]:
    """Returns the picture files of a folder, which `find_pairs` defines.

    Pictures of kinds that are not read, such as camera raw files, are among them, so
    that they are reported when they are read; unless a picture that is read has their
    stem, as a JPEG beside its raw file does.

    Args:
      folder: a folder with at least one picture.
      is_recursive: whether pictures of subfolders count, as `subfolder/stem`; hidden
        ones and those of system programs are passed over.

    Returns:
      File by stem, in the order of the file names.

    Raises:
      FileNotFoundError: if the folder does not exist.
      PermissionError: if it cannot be listed.
      ValueError: if it is a file, holds no pictures, or two of one stem.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(
            f"expected a folder of pictures, got none at {folder}; check the path."
        )
    if not folder.is_dir():
        raise ValueError(
            f"expected a folder of pictures, got the file {folder}; name its folder."
        )
    try:
        paths = list(_files_below(folder) if is_recursive else folder.iterdir())
    except PermissionError as error:
        raise PermissionError(
            "expected a folder that may be listed, got no permission for "
            f"{error.filename or folder}; change its access rights."
        ) from error
    return by_stem([path for path in paths if not path.is_dir()], folder)


def by_stem(paths: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Returns the pictures among files, as `pictures_by_stem` does; nothing is read.

    Args:
      paths: of the files, which need not exist; below the folder.
      folder: in which they are, for stems and for messages.

    Returns:
      File by stem, in the order of the file names.

    Raises:
      ValueError: if there are no pictures, or two of one stem.

    Examples:
      >>> folder = Path("ir")
      >>> files = [folder / name for name in ("2.png", "1.jpg", "notes.txt", ".3.png")]
      >>> list(by_stem(files, folder))
      ['1', '2']
    """
    pictures: dict[str, Path] = {}
    unread: dict[str, Path] = {}
    for path in sorted(paths):
        ending = path.suffix.lower()
        if path.name.startswith("."):
            continue
        place = path.relative_to(folder).with_suffix("")
        stem = unicodedata.normalize("NFC", place.as_posix())
        if ending not in PICTURE_ENDINGS:
            if ending in UNREADABLE_ENDINGS:
                unread.setdefault(stem, path)
            continue
        if stem in pictures:
            raise ValueError(
                f"expected one picture per stem in {path.parent}, got "
                f"{pictures[stem].name} and {path.name}; rename or remove one."
            )
        pictures[stem] = path
    if not pictures and not unread:
        raise ValueError(
            f"expected pictures ({', '.join(sorted(PICTURE_ENDINGS))}) in {folder}, "
            "got none; name the folder that holds them."
        )
    together = {**unread, **pictures}
    return dict(sorted(together.items(), key=lambda item: item[1]))


def _files_below(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:  # or it would be passed over
        raise error

    for home, subfolders, names in os.walk(folder, onerror=fail):
        subfolders[:] = [x for x in subfolders if not x.startswith(_SYSTEM)]
        yield from (Path(home) / name for name in names)


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
      align: how pictures of different sizes are aligned, see `pictures.alignment`.
      levels: range rule of 16-bit grey, see `pictures.levels`.

    Returns:
      One tuple per pair: uint8 luminance of a and of b, both (height, width).

    Raises:
      FileNotFoundError, ValueError: if a picture cannot be read, if the sizes of a pair
        differ, or if a picture is smaller than the crop.
    """
    return [_read_pair(pair, minimum_size, align, levels) for pair in pairs]


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
