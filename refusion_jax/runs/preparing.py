"""Prepares a data set and reports what it holds."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refusion_jax.data.catalogue import CATALOGUE
from refusion_jax.data.layout import SplitFolders
from refusion_jax.data.survey import describe

MAX_LEAKS = 20  # more are counted
FOLDER = "folder"  # the set that is made of two folders
STOPPED = "stopped, nothing is kept; the same command starts anew."


def prepare_set(
    name: str | None,
    data_dir: Path,
    *,
    source_dir: Path | None = None,
    source_a: Path | None = None,
    source_b: Path | None = None,
    third: Path | None = None,
    align: str = "none",
    levels: str = "full",
    scene: str = "",
    overwrite: bool = False,
) -> list[str]:
    """Prepares a set, unless that has been done.

    Args:
      name: of the catalogue.
      data_dir: folder of prepared sets.
      source_dir: the published folder of a set other than `folder`.
      source_a, source_b, third: the folders of the set `folder`.
      align: see `pictures.alignment`.
      levels: see `pictures.levels`.
      scene: pattern whose first group in a stem is the scene, to find leaks.
      overwrite: whether to replace a prepared set.

    Returns:
      Lines that say what the set holds.

    Raises:
      FileNotFoundError, ImportError, ValueError: as `data.builder.prepare` does, and
        for folders that do not go with the set.
    """
    from refusion_jax.data.builder import Reading, prepare, read_summary

    if name is None:
        raise ValueError(
            f"expected a data set, got none; name one of {', '.join(CATALOGUE)}."
        )
    if name == FOLDER and source_dir is not None:
        raise ValueError(
            f"expected two folders of pictures with the set {FOLDER}, got the single "
            f"folder {source_dir}; name those of the first and the second sources."
        )
    target = prepare(
        name,
        data_dir,
        source_dir=source_dir,
        folders=_own_folders(name, source_a, source_b, third),
        reading=Reading(align, levels, scene),
        overwrite=overwrite,
    )
    return _report(name, target, read_summary(target))


def catalogue_lines() -> list[str]:
    """Returns where each set is published and how to arrange it, in lines."""
    return [
        f"{name}: {facts.title}; {facts.published or 'anything'}\n"
        f"  from {facts.url or 'you'}; a: {facts.sources_a[0]}, "
        f"b: {facts.sources_b[0]}; {facts.arrange}\n"
        f"  in the paper: {facts.paper}"
        for name, facts in CATALOGUE.items()
    ]


@contextmanager
def stopping(complain: Callable[[str], None]) -> Iterator[list[int]]:
    """Ends at SIGTERM as at Ctrl-C, so that a set begun is removed.

    Args:
      complain: prints the sentence that says so.

    Yields:
      A list, to which the exit code is added: 128 plus the number of the signal.
    """
    codes: list[int] = []
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield codes
    except KeyboardInterrupt as stop:
        complain(STOPPED)
        codes.append(128 + (stop.args[0] if stop.args else signal.SIGINT))
    finally:
        signal.signal(signal.SIGTERM, before)


def _own_folders(
    name: str, first: Path | None, second: Path | None, third: Path | None
) -> dict[str, SplitFolders] | None:
    if not (first or second or third):
        return None
    if name != FOLDER:
        raise ValueError(
            f"expected --source-dir with the set {name}, got two folders of pictures; "
            f"use --source-dir=DIR, or the set {FOLDER}."
        )
    if not (first and second):
        raise ValueError("expected two folders, got one; name the other.")
    return {"train": SplitFolders(first, second, third)}


def _report(name: str, target: Path, summary: dict[str, Any]) -> list[str]:
    lines = [f"{name}: prepared in {target}"]
    for split, numbers in summary["splits"].items():
        first, *rest = describe(numbers)
        lines += [f"  {split}: {first}", *(f"    {line}" for line in rest)]
    leaks = summary["leaks"]
    lines.append(f"  shared by train and test: {len(leaks) or 'nothing found'}")
    lines += [f"    {leak}" for leak in leaks[:MAX_LEAKS]]
    if len(leaks) > MAX_LEAKS:
        lines.append(f"    and {len(leaks) - MAX_LEAKS} more")
    return lines


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)
