"""Runs the jobs of `refusion fuse`: prints one line per picture, survives failures."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from refusion_jax.commands.jobs import Job, is_finished
from refusion_jax.commands.messages import complain, is_terminal, say
from refusion_jax.devices.compiling import long_compilations
from refusion_jax.files.atomic import remove_abandoned
from refusion_jax.files.conveyor import Outcome, convey
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.loss_maps import write_maps
from refusion_jax.fusing.provenance import is_same_way, to_text, with_sources
from refusion_jax.pictures.notes import AgainWarning, note
from refusion_jax.pictures.photographs import (
    Photograph,
    count_pages,
    origin_of,
    read_photograph,
    write_photograph,
)

FAILURES_NAMED = 10  # in the closing line; all of them have been reported before


class _Made(NamedTuple):
    """A fused picture that is yet to be written."""

    fused: Photograph
    maps: dict[str, np.ndarray] | None


class Stored(NamedTuple):
    """A picture whose file is complete.

    Attributes:
      path: the file.
      size: height and width; None if the file is kept from an earlier run.
      record: how it was made; None if it is kept.
    """

    path: Path
    size: tuple[int, int] | None
    record: dict[str, Any] | None

    def line(self) -> str:
        """Returns the line to print."""
        if self.size is None:
            return f"{self.path} kept"
        height, width = self.size
        return f"{self.path} {width}x{height}"

    def entries(self) -> dict[str, Any]:
        """Returns what the line says and the record, as JSON values."""
        height, width = self.size or (None, None)
        return {
            "output": str(self.path),
            "kept": self.size is None,
            "width": width,
            "height": height,
            "provenance": self.record,
        }


@dataclass(frozen=True)
class Stages:
    """The three stages of a job, for `convey`. A job to keep passes through as None.

    Attributes:
      fuser: fuses the pictures.
      record: how the pictures are made.
      resume: whether to keep outputs that exist, are complete, and were made by the
        same weights and options from sources of the same names, or do not tell how.
      with_maps: whether to write the loss maps of each pair as well.
      is_batch: whether the pictures are those of folders.
      quality: of JPEGs, which all outputs then are; None for the usual one.
      at_work: the size of the last picture.
    """

    fuser: Fuser
    record: dict[str, Any]
    resume: bool
    with_maps: bool
    is_batch: bool
    quality: int | None
    at_work: list[str] = field(default_factory=list)

    def load(self, job: Job) -> list[Photograph] | None:
        """Reads the sources of a job, or returns None if its output is kept."""
        if self.resume and is_finished(job) and self._has_maps(job):
            # What tells nothing, such as a BMP, is kept.
            if is_same_way(origin_of(job.output), self._record(job)) is not False:
                return None
            note(
                f"{job.output} was made with other weights, options or sources and is "
                "replaced.",
                AgainWarning,
            )
        if len(job.sources) == 1:
            pages = range(count_pages(job.sources[0]))
            return [read_photograph(job.sources[0], page=page) for page in pages]
        photographs = [read_photograph(source) for source in job.sources]
        for one, other in pairwise(photographs):
            if not self.is_batch and np.array_equal(one.pixels, other.pixels):
                note(f"{one.name} and {other.name} are the same picture; name another.")
        return photographs

    def work(self, photographs: list[Photograph] | None) -> _Made | None:
        """Fuses what `load` returned."""
        if photographs is None:
            return None
        height, width = photographs[0].pixels.shape[:2]
        self.at_work[:] = [f"{width} x {height}"]
        fused = self.fuser.fuse_photograph(*photographs)
        maps = self.fuser.loss_maps(*photographs) if self.with_maps else None
        return _Made(fused, maps)

    def _record(self, job: Job) -> dict[str, Any]:
        return with_sources(self.record, [str(source) for source in job.sources])

    def _has_maps(self, job: Job) -> bool:
        return not self.with_maps or _panel_of(job).exists()

    def store(self, job: Job, made: _Made | None) -> Stored:
        """Writes what `work` returned."""
        if made is None:
            return Stored(job.output, None, None)
        if made.maps is not None:
            write_maps(_maps_of(job), made.maps, made.fused.pixels)
        elif _panel_of(job).exists():
            _panel_of(job).unlink()  # of an earlier picture: its maps are not complete
        # After the maps: a picture that was made on the way to them is not kept.
        record = self._record(job)
        options = {} if self.quality is None else {"quality": self.quality}
        write_photograph(job.output, made.fused, origin=to_text(record), **options)
        height, width = made.fused.pixels.shape[:2]
        return Stored(job.output, (height, width), record)


def _maps_of(job: Job) -> Path:
    return job.output.with_suffix(".maps")


def _panel_of(job: Job) -> Path:
    """Returns the last file of the maps, which tells that they are complete."""
    return _maps_of(job) / "panel.png"


@dataclass
class _Tally:
    """The numbers of pictures written and kept, and the names of those that failed."""

    total: int
    written: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome[Job, Stored]) -> None:
        if outcome.result is None:
            self.failed.append(outcome.item.stem)
        elif outcome.result.size is None:
            self.kept += 1
        else:
            self.written += 1

    def sentence(self) -> str:
        """Returns the summary of a finished batch."""
        parts = [f"{self.written} of {self.total} written"]
        if self.kept:
            parts.append(f"{self.kept} kept")
        if self.failed:
            named = ", ".join(self.failed[:FAILURES_NAMED])
            rest = ", ..." if len(self.failed) > FAILURES_NAMED else ""
            parts.append(f"{len(self.failed)} failed ({named}{rest})")
        return ", ".join(parts)


def fuse_batch(
    stages: Stages,
    jobs: Sequence[Job],
    outcomes: Iterable[Outcome[Job, Stored]],
    *,
    is_json: bool = False,
    is_quiet: bool = False,
) -> int:
    """Fuses and writes pictures, and prints `OUTPUT WIDTHxHEIGHT` for each.

    Args:
      stages: what each picture goes through.
      jobs: the pictures to fuse and the files to write.
      outcomes: of the jobs, as they are made; see `fuse_here`.
      is_json: whether to print a JSON object per picture instead.
      is_quiet: whether to print errors only.

    Returns:
      The exit status: 0 if all pictures are written or kept, 1 if some failed.

    Raises:
      KeyboardInterrupt: after Ctrl-C, with the number of finished pictures.
    """
    if stages.resume:
        _remove_leftovers(jobs)

    def tell_of_compiling() -> None:
        if is_quiet or not is_terminal():
            return
        size = " for ".join(["", *stages.at_work])
        complain(f"compiling{size}, once for this range of sizes ...")

    start, tally = time.monotonic(), _Tally(len(jobs))
    # disable=None, because that hides the bar where standard error is not a terminal.
    with (
        long_compilations(tell_of_compiling),
        tqdm(
            total=len(jobs),
            unit="picture",
            disable=None if stages.is_batch and not is_quiet else True,
        ) as bar,
    ):
        try:
            for outcome in outcomes:
                with bar.external_write_mode():
                    _report(outcome, is_json, is_quiet)
                    tally.add(outcome)
                bar.update()
        except KeyboardInterrupt:
            done = tally.written + tally.kept
            raise KeyboardInterrupt(
                f"interrupted after {done} of {len(jobs)} pictures"
            ) from None
    if stages.is_batch and not is_quiet:
        complain(f"{tally.sentence()}, {time.monotonic() - start:.1f} s")
    return 1 if tally.failed else 0


def fuse_here(
    jobs: Sequence[Job], stages: Stages, threads: int
) -> Iterator[Outcome[Job, Stored]]:
    """Fuses pictures in this process, in order.

    Args:
      jobs: the pictures.
      stages: what each goes through.
      threads: number of threads that read ahead and write behind.

    Yields:
      One outcome per job.
    """
    yield from convey(
        jobs, load=stages.load, work=stages.work, store=stages.store, jobs=threads
    )


def _remove_leftovers(jobs: Sequence[Job]) -> None:
    """Removes the temporary files that a killed batch left beside its outputs."""
    for folder in {job.output.parent for job in jobs}:
        if folder.is_dir():
            remove_abandoned(folder)


def _report(
    outcome: Outcome[Job, Stored], is_json: bool, is_quiet: bool = False
) -> None:
    """Prints the result of a job on stdout, or its error on stderr."""
    if outcome.result is None:
        complain(f"{outcome.item.stem}: {outcome.error}")
        if is_json:
            failed = {"output": str(outcome.item.output), "error": str(outcome.error)}
            say(json.dumps(failed))
    elif is_quiet:
        return
    elif is_json:
        say(json.dumps(outcome.result.entries()))
    else:
        say(outcome.result.line())
