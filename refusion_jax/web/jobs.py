"""Jobs: one at a time, in order, with phases, cancelled and forgotten in time."""

import logging
import secrets
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refusion_jax.pictures.codecs import limit_of_pixels
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.web.limits import Limits, Refusal, bytes_in_words

FINISHED = ("done", "failed", "cancelled")
LOG = logging.getLogger(__name__)


class Cancelled(Exception):
    """The visitor wants no more of a job."""


@dataclass(frozen=True)
class Upload:
    """A picture that a visitor sent.

    Attributes:
      path: where it is, under a name of ours.
      name: as the visitor calls it, for messages; no file of this name is opened.
      page: of several pages; None for a file of one.
    """

    path: Path
    name: str
    page: int | None = None


@dataclass
class Job:
    """Something to do, or done.

    Attributes:
      kind: what it is.
      folder: where its uploads and results are.
      id: cannot be guessed.
      state: "queued", "running", or one of FINISHED.
      phase: what it is doing, in words.
      result: for the page, once it is done.
      error: a sentence, if it failed.
      notes: sentences about the pictures.
      uploads: what was sent with it.
      files: what may be fetched, by the name in the address.
      needs: jobs whose files it reads.
      kept: what other jobs read of it.
      used: when it was asked for last, by `time.monotonic`.
      is_unwanted: whether the visitor wants no more of it.
      size: bytes in its folder, as it was queued, and as it ended.
    """

    kind: str
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = "queued"
    phase: str = "waiting"
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    notes: list[str] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    needs: list["Job"] = field(default_factory=list)
    kept: Any = None
    used: float = field(default_factory=time.monotonic)
    is_unwanted: bool = False
    size: int = 0

    def enter(self, phase: str) -> None:
        """Begins a phase.

        Args:
          phase: in words.

        Raises:
          Cancelled: if the visitor wants no more of it.
        """
        if self.is_unwanted:
            raise Cancelled
        self.phase = phase

    def named(self, text: str) -> str:
        """Returns a message with the visitor's names in place of our paths.

        Args:
          text: a sentence.
        """
        uploads = [*self.uploads, *(x for job in self.needs for x in job.uploads)]
        for upload in sorted(uploads, key=lambda x: -len(str(x.path))):
            text = text.replace(str(upload.path), upload.name)
        return text


Work = Callable[[Job], dict[str, Any]]


class Jobs:
    """All jobs of a server, and the folder that goes with them."""

    def __init__(self, limits: Limits) -> None:
        """Makes a temporary folder.

        Args:
          limits: see `Limits`.
        """
        self.limits = limits
        self._root = tempfile.TemporaryDirectory(prefix="refusion-serve-")
        self._pool = ThreadPoolExecutor(1, "refusion-job")
        self._jobs: dict[str, Job] = {}
        self._waiting: list[str] = []
        self._arriving = 0
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where everything of this server is."""
        return Path(self._root.name)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue while an upload arrives.

        Raises:
          Refusal: if all places are taken.
        """
        limit = self.limits.waiting
        with self._lock:
            if self._arriving + len(self._waiting) >= limit:
                raise Refusal(
                    503,
                    f"expected at most {limit} jobs at once, got one more; try again "
                    "when one of them is done.",
                )
            self._arriving += 1
        try:
            yield
        finally:
            with self._lock:
                self._arriving -= 1

    def make(self, kind: str) -> Job:
        """Makes a job that is not queued yet, with a folder of its own.

        Args:
          kind: what it is.
        """
        return Job(kind, Path(tempfile.mkdtemp(dir=self.folder)))

    def submit(self, job: Job, work: Work) -> Job:
        """Queues a job.

        Args:
          job: as `make` made it.
          work: does it, and returns its result.
        """
        job.size = _bytes_of(job.folder)
        # First, because what it needs is not forgotten to make room for it.
        with self._lock:
            self._jobs[job.id] = job
            self._waiting.append(job.id)
        self._forget_old()
        self._pool.submit(self._run, job, work)
        return job

    def get(self, name: str, kinds: Sequence[str] = ()) -> Job:
        """Returns a job.

        Args:
          name: its id.
          kinds: what it may be; any if empty.

        Raises:
          Refusal: if there is none.
        """
        with self._lock:
            job = self._jobs.get(name)
        if job is None or (kinds and job.kind not in kinds):
            raise Refusal(
                404,
                f"expected a job of this server, got {name[:40]!r}; it may have "
                "expired: send the pictures again.",
            )
        for each in (job, *job.needs):
            each.used = time.monotonic()
        return job

    def has(self, name: str) -> bool:
        """Returns whether there is a job, which does not count as using it.

        Args:
          name: its id.
        """
        with self._lock:
            return name in self._jobs

    def position(self, job: Job) -> int:
        """Returns how many jobs come before a job.

        Args:
          job: any.
        """
        with self._lock:
            waiting = list(self._waiting)
        return waiting.index(job.id) if job.id in waiting else 0

    def cancel(self, job: Job) -> None:
        """Ends a job: at once if it waits, at its next phase if it runs.

        Args:
          job: any; one that is finished is forgotten.
        """
        job.is_unwanted = True
        if job.state == "queued":
            job.state, job.phase = "cancelled", "cancelled"
        elif job.state in FINISHED:
            with self._lock:
                self._forget(job)

    def close(self) -> None:
        """Ends all jobs and removes all files."""
        for job in list(self._jobs.values()):
            job.is_unwanted = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._root.cleanup()

    def discard(self, job: Job) -> None:
        """Removes the files of a job that was never queued.

        Args:
          job: as `make` made it.
        """
        shutil.rmtree(job.folder, ignore_errors=True)

    def _run(self, job: Job, work: Work) -> None:
        state, error = "done", ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PictureWarning)
            try:
                if job.is_unwanted:
                    raise Cancelled
                job.state = "running"
                with limit_of_pixels(self.limits.pixels):
                    job.result = work(job)
            except Cancelled:
                state = "cancelled"
            # RuntimeError, because JAX reports exhausted memory that way.
            except (OSError, ValueError, ImportError, RuntimeError, MemoryError) as e:
                lines = str(e).splitlines() or [type(e).__name__]
                state, error = "failed", job.named(lines[0])
            except Exception as e:
                LOG.exception("A job failed unexpectedly.")
                state = "failed"
                error = (
                    "expected pictures that can be fused, got an internal error "
                    f"({type(e).__name__}); see the terminal of refusion serve."
                )
        heard = [
            str(x.message) for x in caught if issubclass(x.category, PictureWarning)
        ]
        job.notes += [job.named(text) for text in dict.fromkeys(heard)]
        if state != "done":
            shutil.rmtree(job.folder, ignore_errors=True)
            job.files.clear()
        # Now, because whoever queues the next job should not walk all folders.
        job.size = _bytes_of(job.folder)
        with self._lock:
            self._waiting.remove(job.id)
        # Last, because who sees a finished job takes all of it for finished.
        job.error, job.phase, job.state = error, state, state

    def _forget_old(self) -> None:
        """Removes what is old, and the oldest if there is too much."""
        with self._lock:
            needed = {
                id(x)
                for job in self._jobs.values()
                if job.state not in FINISHED
                for x in job.needs
            }
            idle = sorted(
                (
                    job
                    for job in self._jobs.values()
                    if job.state in FINISHED and id(job) not in needed
                ),
                key=lambda job: job.used,
            )
            oldest = time.monotonic() - self.limits.kept_seconds
            total = sum(job.size for job in self._jobs.values())
            for job in idle:
                is_full = (
                    len(self._jobs) > self.limits.kept_jobs
                    or total > self.limits.kept_bytes
                )
                if job.used < oldest or is_full:
                    total -= job.size
                    self._forget(job)
        if total > self.limits.kept_bytes:
            LOG.warning(
                "Uploads and results exceed %s: unfinished jobs need them.",
                bytes_in_words(self.limits.kept_bytes),
            )

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)


def _bytes_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a job may just have removed it
            total += path.stat().st_size if path.is_file() else 0
    return total
