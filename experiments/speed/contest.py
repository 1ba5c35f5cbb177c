"""Contenders in processes of their own: compared first, then timed in turns."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refusion_jax.devices import huge_pages
from speed.rounds import Check, Timing, Turn, check_values, interleave

EXPERIMENTS = Path(__file__).parent.parent
# A round of a fast contender repeats its work for this long.
LEAST_SECONDS = 0.5
# Without these two glibc hands large buffers back to the kernel after every operation.
TUNED_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
}
# What our programs that train ask for themselves.
HUGE_PAGES = {huge_pages.TUNABLES: huge_pages.HUGE_PAGES}


class Entry(NamedTuple):
    """One contender.

    Attributes:
      name: as the table has it.
      factory: "module:function", see `worker`.
      arguments: of that function; what JSON can hold.
      environment: variables of its process on top of ours.
    """

    name: str
    factory: str
    arguments: Mapping[str, Any]
    environment: Mapping[str, str] = {}


class Outcome(NamedTuple):
    """What a contest gave.

    Attributes:
      timings: in the order of the entries.
      differences: to the first entry's values, by contender and value.
      left_out: why, by contender; its libraries are not installed.
    """

    timings: list[Timing]
    differences: dict[str, dict[str, float]]
    left_out: dict[str, str]


class Worker:
    """A process of `worker`, started; use it in a with statement."""

    def __init__(self, environment: Mapping[str, str] = {}) -> None:
        """Starts the process.

        Args:
          environment: variables on top of ours.
        """
        paths = [str(EXPERIMENTS), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "speed.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                # Several processes may share one GPU.
                "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
                **environment,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
        )

    def __enter__(self) -> "Worker":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._process.communicate()

    def ask(self, method: str, **arguments: Any) -> Any:
        """Has a method of `worker.Session` run.

        Args:
          method: its name.
          **arguments: what JSON can hold.

        Returns:
          Its result.

        Raises:
          ImportError: if a library is not installed there.
          RuntimeError: if it fails otherwise, or the process is gone.
        """
        assert self._process.stdin and self._process.stdout
        request = {"method": method, "arguments": arguments}
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            raise RuntimeError(
                f"expected an answer to {method}, got a process that ended with "
                f"{status}; did memory run out?"
            )
        answer = json.loads(line)
        if "error" not in answer:
            return answer["result"]
        if answer["kind"] in ("ImportError", "ModuleNotFoundError"):
            raise ImportError(answer["error"])
        raise RuntimeError(f"{answer['kind']} in {method}: {answer['error']}")


def compete(
    entries: Sequence[Entry],
    checks: Mapping[str, Check],
    *,
    rounds: int,
    folder: Path,
) -> Outcome:
    """Runs a contest.

    Args:
      entries: the first is the reference.
      checks: what the others must agree on with it.
      rounds: timed turns of each; the first run comes before and apart.
      folder: for the values, which exists.

    Returns:
      Timings and differences.

    Raises:
      ValueError: if values differ; then nothing has been timed.
      RuntimeError: if a contender fails.
    """
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        first: dict[str, float] = {}
        differences: dict[str, dict[str, float]] = {}
        left_out: dict[str, str] = {}
        reference = None
        for place, entry in enumerate(entries):
            print(f"benchmark: {entry.name}", file=sys.stderr)
            worker = stack.enter_context(Worker(entry.environment))
            path = folder / f"values_{place}.npz"
            try:
                worker.ask(
                    "make", factory=entry.factory, arguments=dict(entry.arguments)
                )
            except ImportError as error:
                left_out[entry.name] = str(error)
                continue
            first[entry.name] = worker.ask("first", path=str(path))
            workers[entry.name] = worker
            with np.load(path) as values:
                if reference is None:
                    reference = dict(values)
                differences[entry.name] = check_values(
                    entry.name, dict(values), reference, checks
                )
        turns = interleave(
            {name: _timer(worker) for name, worker in workers.items()}, rounds
        )
    timings = [Timing(name, first[name], turns[name]) for name in workers]
    return Outcome(timings, differences, left_out)


def _timer(worker: Worker) -> Callable[[], Turn]:
    return lambda: Turn(*worker.ask("time", least_seconds=LEAST_SECONDS))


def time_here(contenders: Mapping[str, Callable[[], int]], rounds: int) -> list[Timing]:
    """The same within this process, for contenders that need none of their own.

    Args:
      contenders: each does some units of work and says how many.
      rounds: timed turns of each; a first turn comes before and apart.

    Returns:
      Timings of one unit.
    """

    def timer(run: Callable[[], int]) -> Callable[[], Turn]:
        def timed() -> Turn:
            started, cpu_started = time.perf_counter(), time.process_time()
            units = run()
            elapsed = time.perf_counter() - started
            return Turn(elapsed / units, (time.process_time() - cpu_started) / units)

        return timed

    timers = {name: timer(run) for name, run in contenders.items()}
    first = interleave(timers, 1)
    turns = interleave(timers, rounds)
    return [Timing(name, first[name][0].seconds, turns[name]) for name in timers]


@contextmanager
def one_worker(environment: Mapping[str, str] = {}) -> Iterator[Callable[..., Any]]:
    """A fresh process to call functions in.

    Args:
      environment: variables on top of ours.

    Yields:
      A function of "module:function" and keyword arguments.
    """
    with Worker(environment) as worker:
        yield lambda function, **arguments: worker.ask(
            "call", function=function, arguments=arguments
        )
