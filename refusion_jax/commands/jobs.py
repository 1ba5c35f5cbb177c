"""Plans which pictures a command fuses, and which files it writes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from refusion_jax.data.pairs import find_groups, pictures_by_stem
from refusion_jax.files.atomic import check_folder_of
from refusion_jax.files.pairing import natural_order
from refusion_jax.pictures.codecs import WRITERS, check_writable, read_picture
from refusion_jax.pictures.names import is_address
from refusion_jax.pictures.notes import note
from refusion_jax.pictures.photographs import count_pages


class Job(NamedTuple):
    """One picture to fuse.

    Attributes:
      stem: name of the job in messages.
      sources: two or more files, or one whose pages are fused.
      output: the file to write.
    """

    stem: str
    sources: tuple[Path, ...]
    output: Path


class Output(NamedTuple):
    """Where to write.

    Attributes:
      path: a file or a folder.
      is_folder: whether it was named as a folder, by a slash at its end.
      ending: of the pictures that are written to a folder; None is that of PNG.
    """

    path: Path
    is_folder: bool = False
    ending: str | None = None

    def within(self, stem: str) -> Path:
        """Returns the picture of this stem in the folder."""
        return self.path / f"{stem}{self.ending or '.png'}"


def plan_jobs(
    sources: Sequence[Path],
    output: Path | Output,
    *,
    pair: str = "name",
    is_recursive: bool = False,
    place: Callable[[Path], PurePath] = Path.resolve,
    name: Callable[[Path], str] = str,
) -> list[Job]:
    """Pairs the sources and plans one job per picture.

    Problems of the sources as a whole, such as a missing partner, are raised here;
    problems of a single picture come up when it is read.

    Args:
      sources: files, or folders whose pictures are paired by name. One folder, or one
        file of several pages, is a stack.
      output: for files and stacks, a file or a folder; for folders, a folder. In a
        folder, a picture is named after its first source; where a pattern pairs the
        names, after their common {} part.
      pair: how names are paired, see `files.pairing`.
      is_recursive: whether pictures of subfolders are paired too, and written to
        subfolders of the same names.
      place, name: where a path really is, and what it is called in a sentence; of
        stand-ins for buckets these are others.

    Returns:
      The jobs, with numbers in names ordered as numbers: 2 before 10. Folders to write
      to need not exist yet.

    Raises:
      FileNotFoundError: if a source or the folder of an output file is missing.
      FileExistsError: if the sources are folders and the output is a file.
      ValueError: if files and folders are mixed, if the sources do not pair, or if an
        output cannot be written or is a source.

    Warns:
      PictureWarning: if files of two folders are fused into one picture.
    """
    if not isinstance(output, Output):
        output = Output(output)
    check_exist(sources)
    folders = [source for source in sources if source.is_dir()]
    if folders and len(folders) < len(sources):
        file = next(source for source in sources if source not in folders)
        raise ValueError(
            f"expected files only or folders only, got {folders[0]} and {file}; name "
            "sources of one kind."
        )
    if is_recursive and len(folders) < 2:
        raise ValueError(
            f"expected two or more folders with --recursive, got {sources[0]}"
            f"{' only' * (len(sources) == 1)}; leave it out."
        )
    if len(sources) == 1:
        jobs = [_stack(sources[0], output)]
    elif folders:
        homes = [place(x) for x in sources]
        if is_recursive and any(place(output.path).is_relative_to(x) for x in homes):
            raise ValueError(
                "expected a folder outside the sources with --recursive, got "
                f"{name(output.path)}, whose pictures would be sources the next time; "
                "name another."
            )
        jobs = _jobs_of_folders(sources, output, pair, is_recursive)
    else:
        _check_repeated_stems(sources, output)
        jobs = [Job(sources[0].stem, tuple(sources), _file(output, sources[0].stem))]
    read = {place(source) for job in jobs for source in job.sources}
    for job in jobs:
        check_writable(job.output)
        if place(job.output) in read:
            raise ValueError(
                f"expected an output other than the sources, got {name(job.output)}; "
                "name another."
            )
    return jobs


def _jobs_of_folders(
    folders: Sequence[Path], output: Output, pair: str, is_recursive: bool
) -> list[Job]:
    if output.path.is_file():
        raise FileExistsError(
            f"expected a folder to write to, got the file {output.path}, which exists; "
            "name a folder."
        )
    is_named_as_picture = output.path.suffix.lower() in WRITERS
    if is_named_as_picture and not (output.is_folder or output.path.is_dir()):
        raise ValueError(
            f"expected a folder to write the pictures of folders to, got "
            f"{output.path}, the name of a picture; name a folder, or one folder of "
            "sources to fuse as a stack."
        )
    groups = find_groups(folders, pair=pair, is_recursive=is_recursive)
    jobs = [Job(stem, paths, output.within(stem)) for stem, paths in groups]
    return sorted(jobs, key=lambda job: natural_order(job.stem))


def _stack(source: Path, output: Output) -> Job:
    """Plans a stack: the pictures of a folder, or the pages of a file."""
    if not source.is_dir():
        count = count_pages(source)
        if count < 2:
            raise ValueError(
                f"expected two or more sources, got {source}, which has one page; "
                "name the other source too."
            )
        return Job(source.stem, (source,), _file(output, source.stem))
    pictures = pictures_by_stem(source)
    if len(pictures) < 2:
        raise ValueError(
            f"expected two or more pictures of a stack in {source}, got "
            f"{len(pictures)}; name the other source too."
        )
    stems = sorted(pictures, key=natural_order)
    name = source.resolve().name
    return Job(name, tuple(pictures[x] for x in stems), _file(output, name))


def _check_repeated_stems(sources: Sequence[Path], output: Output) -> None:
    """Tells pairs named by a pattern of the shell from a stack."""
    stems = [source.stem for source in sources]
    if len(sources) < 3 or len(set(stems)) == len(stems):
        return
    homes = list(dict.fromkeys(str(source.parent) for source in sources))
    pairs = f"name folders to make pairs: {' '.join(homes[:2])} -o FOLDER"
    if output.is_folder or output.path.is_dir():
        raise ValueError(
            f"expected the sources of one picture, got {len(sources)} files with only "
            f"{len(set(stems))} names; {pairs}."
        )
    note(f"{len(sources)} pictures are fused into one, as a stack; {pairs}.")


def _file(output: Output, stem: str) -> Path:
    """Returns the file to write, whose folder exists or may be made."""
    if output.is_folder or output.path.is_dir():
        return output.within(stem)
    if output.ending is not None:
        raise ValueError(
            f"expected a folder to write to with --ext, got {output.path}; leave --ext "
            "out, since a file's own ending tells its format."
        )
    check_folder_of(output.path)
    return output.path


def check_exist(sources: Sequence[Path]) -> None:
    """Raises unless all sources exist.

    Args:
      sources: files or folders.

    Raises:
      FileNotFoundError: if a source is missing, naming the first one.
    """
    for path in sources:
        if is_address(path):
            raise FileNotFoundError(
                f"expected a file or a folder, got the web address {path}; download it "
                "first."
            )
        if not path.exists():
            raise FileNotFoundError(
                f"expected a file or a folder, got nothing at {path}; check the path."
            )


def check_quality(jobs: Sequence[Job], quality: int | None) -> None:
    """Raises if a quality is asked for that does not act, or that JPEG does not know.

    Args:
      jobs: what is planned.
      quality: of JPEG; None for ours.

    Raises:
      ValueError: naming the option.
    """
    if quality is None:
        return
    if not 1 <= quality <= 100:
        raise ValueError(f"expected --quality of 1 to 100, got {quality}; change it.")
    for job in jobs:
        if job.output.suffix.lower() not in (".jpg", ".jpeg"):
            raise ValueError(
                f"expected a JPEG to write with --quality, got {job.output}, which is "
                "written without losses; leave it out, or write .jpg."
            )


def refuse_existing(jobs: Sequence[Job]) -> None:
    """Raises if an output exists.

    Args:
      jobs: what is planned.

    Raises:
      FileExistsError: naming the first one.
    """
    found = [job.output for job in jobs if job.output.exists()]
    if found:
        raise FileExistsError(
            f"expected new outputs with --no-overwrite, got {found[0]}, which exists "
            f"({len(found)} of {len(jobs)} do); name another place, or --resume."
        )


def plan(jobs: Sequence[Job], *, is_json: bool) -> list[str]:
    """Returns what would be done, one line per picture.

    Args:
      jobs: what is planned.
      is_json: whether the lines are JSON objects.
    """
    if is_json:
        return [
            json.dumps(
                {
                    "output": str(job.output),
                    "exists": job.output.exists(),
                    "sources": [str(source) for source in job.sources],
                }
            )
            for job in jobs
        ]
    return [
        f"{job.output}{' (exists)' * job.output.exists()} <- "
        f"{' '.join(map(str, job.sources))}"
        for job in jobs
    ]


def count_sources(job: Job) -> int:
    """Counts the pictures of a job.

    Args:
      job: with files that exist.

    Returns:
      The number of its files, or of the pages if it is one file.

    Raises:
      OSError, ValueError: if that file cannot be read.
    """
    return count_pages(job.sources[0]) if len(job.sources) == 1 else len(job.sources)


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
