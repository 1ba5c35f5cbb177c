"""The files of a data set: its splits, their folders, and the pairs in them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from refusion_jax.data.catalogue import Facts
from refusion_jax.data.pairs import Pair, pictures_by_stem

SPLITS = ("train", "test")


class SplitFolders(NamedTuple):
    """The folders of one split.

    Attributes:
      first, second: of source a and source b.
      third: of masks or ground truth; None if there is none.
    """

    first: Path
    second: Path
    third: Path | None = None


class Listing(NamedTuple):
    """The files of one split.

    Attributes:
      pairs: the complete ones, in the order of their stems.
      thirds: the third picture of each stem; empty without a third folder.
      skipped: one sentence for each file without a partner.
    """

    pairs: list[Pair]
    thirds: dict[str, Path]
    skipped: list[str]


def locate(directory: Path, facts: Facts) -> dict[str, SplitFolders]:
    """Finds the folders of a data set.

    Args:
      directory: holds {train,test}/{FIRST,SECOND}, or {FIRST,SECOND}/{train,test}.
      facts: its folder names.

    Returns:
      The folders of each split that exists, at least one.

    Raises:
      FileNotFoundError: if the directory or all splits are missing.
      ValueError: if a split has only one of its two sources.
    """
    if not directory.is_dir():
        raise FileNotFoundError(
            f"expected the pictures of {facts.title}, got no folder at {directory}; "
            f"get them from {facts.url or 'your own camera'} and name their folder."
        )
    found = {}
    for split in SPLITS:
        first, second, third = (
            _find(directory, split, names)
            for names in (facts.sources_a, facts.sources_b, facts.third)
        )
        if first is None and second is None:
            continue
        if first is None or second is None:
            missing = (facts.sources_a if first is None else facts.sources_b)[0]
            raise ValueError(
                f"expected two sources of {split}, got only {first or second}; add "
                f"the folder {directory / split / missing}."
            )
        found[split] = SplitFolders(first, second, third)
    if not found:
        layout = f"{{train,test}}/{{{facts.sources_a[0]},{facts.sources_b[0]}}}"
        there = ", ".join(sorted(path.name for path in directory.iterdir())[:8])
        raise FileNotFoundError(
            f"expected {directory}/{layout}, got {there or 'an empty folder'}; "
            f"{facts.arrange[:1].lower()}{facts.arrange[1:]}"
        )
    return found


def list_files(folders: SplitFolders) -> Listing:
    """Pairs the files of a split; files without a partner are reported, not refused.

    Args:
      folders: of the split.

    Returns:
      The pairs, and the files that were skipped.

    Raises:
      FileNotFoundError, PermissionError, ValueError: as `pairs.pictures_by_stem`, or
        if no pair is complete.
    """
    sides = [pictures_by_stem(folder) for folder in folders if folder is not None]
    complete = set.intersection(*(set(side) for side in sides))
    skipped = [
        f"{side[stem]}: no partner in {_lacking(stem, sides, folders)}"
        for side in sides
        for stem in sorted(side.keys() - complete)
    ]
    if not complete:
        raise ValueError(
            f"expected pictures of one stem in {folders.first} and {folders.second}, "
            f"got none; rename them, for example {next(iter(sides[0].values())).name} "
            "in both."
        )
    stems = sorted(complete)
    return Listing(
        pairs=[Pair(stem, sides[0][stem], sides[1][stem]) for stem in stems],
        thirds={stem: sides[2][stem] for stem in stems} if len(sides) > 2 else {},
        skipped=skipped,
    )


def fingerprint(listings: Mapping[str, Listing]) -> str:
    """Returns a digest of names, lengths and times, which shows if files changed.

    Args:
      listings: of each split.

    Returns:
      64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for split, listing in sorted(listings.items()):
        for pair in listing.pairs:
            paths = [pair.path_a, pair.path_b]
            if pair.stem in listing.thirds:
                paths.append(listing.thirds[pair.stem])
            for path in paths:
                status = path.stat()
                facts = (split, path.name, status.st_size, status.st_mtime_ns)
                digest.update(repr(facts).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _find(directory: Path, split: str, names: tuple[str, ...]) -> Path | None:
    """Returns the first folder of a split that has one of the names."""
    candidates = (
        folder
        for name in names
        for folder in (directory / split / name, directory / name / split)
    )
    return next((folder for folder in candidates if folder.is_dir()), None)


def _lacking(stem: str, sides: list[dict[str, Path]], folders: SplitFolders) -> str:
    return " and ".join(
        str(folder)
        for side, folder in zip(sides, folders, strict=False)
        if stem not in side
    )
