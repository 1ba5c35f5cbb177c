"""Plans which pictures a command fuses, and which files it writes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from refusion_jax.data.pairs import find_groups
from refusion_jax.pictures.codecs import check_writable, read_picture


class Job(NamedTuple):
    """One picture to fuse.

    Attributes:
      stem: name of the job in messages.
      sources: two or more files.
      output: the file to write.
    """

    stem: str
    sources: tuple[Path, ...]
    output: Path


def plan_jobs(sources: Sequence[Path], output: Path) -> list[Job]:
    """Pairs the sources and plans one job per picture.

    Problems of the sources as a whole, such as a missing partner, are raised here;
    problems of a single picture come up when it is read.

    Args:
      sources: files, or folders whose pictures are paired by stem.
      output: for files, a file or an existing folder; for folders, a folder. In a
        folder, a picture is named STEM.png after its first source.

    Returns:
      The jobs, with numbers in names ordered as numbers: 2 before 10. For folders they
      write to the folder `output`, which need not exist yet.

    Raises:
      FileNotFoundError: if a source is missing.
      FileExistsError: if the sources are folders and the output is a file.
      ValueError: if files and folders are mixed, if the sources do not pair, or if an
        output cannot be written or is a source.
    """
    check_exist(sources)
    folders = [source for source in sources if source.is_dir()]
    if folders and len(folders) < len(sources):
        file = next(source for source in sources if source not in folders)
        raise ValueError(
            f"expected files only or folders only, got {folders[0]} and {file}; name "
            "sources of one kind."
        )
    if folders and output.is_file():
        raise FileExistsError(
            f"expected a folder to write to, got the file {output}, which exists; name "
            "a folder."
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
    """Raises unless all sources exist.

    Args:
      sources: files or folders.

    Raises:
      FileNotFoundError: if a source is missing, naming the first one.
    """
    for path in sources:
        if not path.exists():
            raise FileNotFoundError(
                f"expected a file or a folder, got nothing at {path}; check the path."
            )


def is_finished(job: Job) -> bool:
    """Returns whether the output of a job exists and is complete.

    Args:
      job: a job that an earlier run may have finished.

    Returns:
      True if every pixel of the output can be read; False if there is no file, or if it
      is empty, truncated or not a picture.
    """
    if not job.output.exists():
        return False
    try:
        read_picture(job.output)
    except (OSError, ValueError):
        return False
    return True


def _natural(stem: str) -> list[tuple[int, str]]:
    """Returns a sorting key that compares text as text and digits as numbers.

    Examples:
      >>> sorted(["scene 10", "scene 9", "x"], key=_natural)
      ['scene 9', 'scene 10', 'x']
    """
    parts = re.split(r"([0-9]+)", stem)
    return [(int(x), "") if i % 2 else (-1, x) for i, x in enumerate(parts)]
