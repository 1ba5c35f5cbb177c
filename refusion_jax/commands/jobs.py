"""Which pictures a command fuses, and where the results go."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from refusion_jax.data.pairs import find_groups
from refusion_jax.pictures.codecs import check_writable, read_picture


class Job(NamedTuple):
    """One picture to make.

    Attributes:
      stem: what messages call it.
      sources: the files, two or more.
      output: the file to write.
    """

    stem: str
    sources: tuple[Path, ...]
    output: Path


def plan_jobs(sources: Sequence[Path], output: Path) -> list[Job]:
    """Pairs the sources; what is wrong with all of them is raised here.

    Args:
      sources: files, or folders whose pictures are paired by stem.
      output: a file or an existing folder for files, a folder for folders; to a folder
        goes STEM.png, after the first source.

    Returns:
      The jobs, numbers in the names counted as numbers: 2 before 10. Of folders they
      write to `output`, which need not exist yet.

    Raises:
      FileNotFoundError: if a source is missing.
      ValueError: if sources are of two kinds or do not pair, or if an output cannot be
        written or is a source.
    """
    check_exist(sources)
    folders = [source for source in sources if source.is_dir()]
    if folders and len(folders) < len(sources):
        file = next(source for source in sources if source not in folders)
        raise ValueError(
            f"expected files only or folders only, got {folders[0]} and {file}; name "
            "all of one kind."
        )
    if folders and output.is_file():
        raise FileExistsError(
            f"expected a folder to write to, got the file {output}, which exists; name "
            "another."
        )
    if folders:
        jobs = [
            Job(stem, paths, output / f"{stem}.png")
            for stem, paths in find_groups(sources)
        ]
        jobs.sort(key=lambda job: _natural(job.stem))
    else:
        stem = sources[0].stem
        target = output / f"{stem}.png" if output.is_dir() else output
        jobs = [Job(stem, tuple(sources), target)]
    for job in jobs:
        check_writable(job.output)
        if job.output.resolve() in {source.resolve() for source in job.sources}:
            raise ValueError(
                f"expected an output apart from the sources, got {job.output}; name "
                "another."
            )
    return jobs


def check_exist(sources: Sequence[Path]) -> None:
    """Refuses sources that are not there.

    Args:
      sources: files or folders.

    Raises:
      FileNotFoundError: naming the first.
    """
    for path in sources:
        if not path.exists():
            raise FileNotFoundError(
                f"expected a file or a folder, got nothing at {path}."
            )


def is_finished(job: Job) -> bool:
    """Whether the output is there and whole: every pixel of it can be read.

    Args:
      job: what was or was not done before.

    Returns:
      False as well where the file is empty, cut off or no picture.
    """
    if not job.output.exists():
        return False
    try:
        read_picture(job.output)
    except (OSError, ValueError):
        return False
    return True


def _natural(stem: str) -> list[tuple[int, str]]:
    """A sorting key: text as text, digits as a number."""
    parts = re.split(r"([0-9]+)", stem)
    return [(int(x), "") if i % 2 else (-1, x) for i, x in enumerate(parts)]
