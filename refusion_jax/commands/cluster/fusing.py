"""Fusing by Ray: each worker has the network, reads pairs and writes pictures."""

import dataclasses
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast

from refusion_jax.commands.batch import Stages, Stored
from refusion_jax.commands.cluster.buckets import (
    changed_at,
    fetch,
    is_bucket,
    send,
    time_at,
)
from refusion_jax.commands.cluster.engine import RESUME, running, spread
from refusion_jax.commands.cluster.options import Cluster
from refusion_jax.commands.jobs import Job, is_finished
from refusion_jax.commands.set_up import use_cache
from refusion_jax.files.conveyor import Outcome, convey
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.pictures import notes
from refusion_jax.pictures.codecs import limit_of_pixels, read_picture
from refusion_jax.pictures.notes import PictureWarning, note
from refusion_jax.pictures.photographs import Photograph


class Recipe(NamedTuple):
    """How workers fuse; can be pickled, the model included.

    Attributes:
      stages: of the local command.
      threads: that read ahead and write behind, per worker.
      is_cached: whether compiled programs are kept.
      max_pixels: larger pictures are rejected; None is the usual limit.
      begun: time of the first output's file system. A file that is younger was written
        by a worker that died before it could say so.
    """

    stages: Stages
    threads: int
    is_cached: bool
    max_pixels: int | None
    begun: float


class Errand(NamedTuple):
    """A job whose files may lie in buckets.

    Attributes:
      number: among all jobs.
      stem: name in messages.
      sources, output: addresses, or absolute paths.
      folder: for what is fetched and sent.
    """

    number: int
    stem: str
    sources: list[str]
    output: str
    folder: str

    @property
    def job(self) -> Job:
        """The job on this machine's files."""
        own = Path(self.folder) / str(self.number)

        def here(place: str, part: str) -> Path:
            name = place.rsplit("/", 1)[-1]
            return own / part / name if is_bucket(place) else Path(place)

        sources = [here(x, str(n)) for n, x in enumerate(self.sources)]
        return Job(self.stem, tuple(sources), here(self.output, "output"))

    def fetched(self, *, with_output: bool) -> Job:
        """Returns the job once its sources are there; with an output if it exists."""
        job = self.job
        places = list(zip(self.sources, job.sources, strict=True))
        for address, path in places:
            if is_bucket(address):
                path.parent.mkdir(parents=True, exist_ok=True)
                if not fetch(address, path):
                    raise FileNotFoundError(
                        f"expected a picture, got nothing at {address}; check it."
                    )
        if is_bucket(self.output):
            job.output.parent.mkdir(parents=True, exist_ok=True)
            if with_output:
                fetch(self.output, job.output)
        return job


class FusingWorker:
    """Fuses jobs; what an earlier attempt has written is not written again."""

    def __init__(self, recipe: Recipe) -> None:
        """Prepares the process.

        Args:
          recipe: how to fuse.
        """
        use_cache(is_wanted=recipe.is_cached)
        self._context = ExitStack()  # of the whole process
        self._context.enter_context(limit_of_pixels(recipe.max_pixels))
        self._stages, self._recipe = recipe.stages, recipe

    def __call__(self, items: Sequence[str]) -> list[str]:
        """Fuses some jobs.

        Args:
          items: of `_to_item`.

        Returns:
          For each: its number, and what `Stored` has, or why it failed; and notes.
        """
        with tempfile.TemporaryDirectory(prefix="refusion-") as folder:
            work = [Errand(*[*json.loads(item), folder]) for item in items]
            outcomes = convey(
                work,
                load=self._load,
                work=self._stages.work,
                store=self._store,
                jobs=self._recipe.threads,
            )
            # Once around all, because threads note things between two outcomes too.
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always", PictureWarning)
                return [
                    json.dumps(self._told(errand, outcomes, heard)) for errand in work
                ]

    def _told(
        self,
        errand: Errand,
        outcomes: Iterator[Outcome[Errand, Stored]],
        heard: list[warnings.WarningMessage],
    ) -> dict[str, Any]:
        """Returns the outcome of the next errand with what is heard, as JSON values."""
        outcome = next(outcomes)
        fresh = heard[:]
        del heard[: len(fresh)]  # not all: a thread may just have added one
        messages = [x.message for x in fresh if isinstance(x.message, PictureWarning)]
        told = {
            "number": errand.number,
            "notes": [[type(x).__name__, str(x)] for x in messages],
        }
        if outcome.result is None:
            return {**told, "error": str(outcome.error)}
        return {**told, "size": outcome.result.size, "record": outcome.result.record}

    def _load(self, errand: Errand) -> list[Photograph] | None:
        if self._is_written(errand):
            return None
        job = errand.fetched(with_output=self._stages.resume)
        return self._stages.load(job)

    def _store(self, errand: Errand, made: Any) -> Stored:
        job = errand.job
        if made is None and self._is_written(errand):
            errand.fetched(with_output=True)
            height, width = read_picture(job.output).shape[:2]
            return Stored(job.output, (height, width), None)
        stored = self._stages.store(job, made)
        if stored.size is not None and is_bucket(errand.output):
            send(job.output, errand.output)
        return stored

    def _is_written(self, errand: Errand) -> bool:
        """Returns whether an attempt before this one has written the output."""
        if is_bucket(errand.output):
            changed = changed_at(errand.output)
            return changed is not None and changed >= self._recipe.begun
        try:
            changed = Path(errand.output).stat().st_mtime
        except OSError:
            return False
        return changed >= self._recipe.begun and is_finished(errand.job)


def fuse_by_ray(
    jobs: Sequence[Job],
    stages: Stages,
    cluster: Cluster,
    *,
    threads: int,
    is_cached: bool,
    max_pixels: int | None,
    address: Callable[[Path], str] = lambda path: str(path.absolute()),
) -> Iterator[Outcome[Job, Stored]]:
    """Fuses pictures on a cluster, in any order.

    Args:
      jobs: the pictures; their files lie where all machines see them.
      stages: of the local command.
      cluster: where.
      threads: as in the local command, per worker.
      is_cached: whether compiled programs are kept.
      max_pixels: larger pictures are rejected; None is the usual limit.
      address: tells where a planned file is, for workers.

    Yields:
      One outcome per job.

    Raises:
      EngineError: if the cluster cannot be reached, or is lost.
      ImportError: if Ray is not installed.
      OSError: if the place of the outputs cannot be written to.
    """
    items = [
        json.dumps(
            [number, job.stem, list(map(address, job.sources)), address(job.output)]
        )
        for number, job in enumerate(jobs)
    ]
    begun = _time_at(address(jobs[0].output))
    # Of the model, because a fuser of a path is pickled as the path, which other
    # machines need not have.
    rules = dataclasses.asdict(stages.fuser.rules)
    fuser = Fuser(stages.fuser.model, **rules)
    stages = dataclasses.replace(stages, fuser=fuser)
    recipe = Recipe(stages, threads, is_cached, max_pixels, begun)
    with running(cluster):
        for text in spread(
            items, FusingWorker, (recipe,), cluster.workers, cure=RESUME
        ):
            result = json.loads(text)
            job = jobs[result["number"]]
            if is_bucket(place := address(job.output)):
                # Only for messages, in which a path would lose a slash.
                job = job._replace(output=cast(Path, place))
            for kind, told in result["notes"]:
                note(told, getattr(notes, kind))
            if "error" in result:
                yield Outcome(job, None, RuntimeError(result["error"]))
                continue
            size = result["size"] and tuple(result["size"])
            yield Outcome(job, Stored(job.output, size, result["record"]), None)


def _time_at(output: str) -> float:
    """Returns the time by the clock of where an output will be."""
    folder = output.rsplit("/", 1)[0]
    if is_bucket(output):
        return time_at(folder)
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        return Path(probe.name).stat().st_mtime
