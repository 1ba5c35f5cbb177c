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
# A fast contender repeats its work for this long in each turn.
LEAST_SECONDS = 0.5
# Without these, glibc returns large buffers to the kernel after every operation.
TUNED_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
}
# What our training programs ask for.
HUGE_PAGES = {huge_pages.TUNABLES: huge_pages.HUGE_PAGES}


class Entry(NamedTuple):
    """One contender.

    Attributes:
      name: as the table has it.
      factory: "module:function", see `worker`.
      arguments: of that function; values JSON can hold.
      environment: variables of its process, on top of ours.
    """

    name: str
    factory: str
    arguments: Mapping[str, Any]
    environment: Mapping[str, str] = {}


class Outcome(NamedTuple):
    """The result of a contest.

    Attributes:
      timings: in the order of the entries.
      differences: to the first entry's values, by contender and value.
      left_out: reasons by contender: which of its libraries is not installed.
    """

    timings: list[Timing]
    differences: dict[str, dict[str, float]]
    left_out: dict[str, str]


class Worker:
    """A running process of `worker`; use it in a with statement."""

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
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._process.communicate()

    def ask(self, method: str, **arguments: Any) -> Any:
        """Runs a method of `worker.Session` in the process.

        Args:
          method: its name.
          **arguments: values JSON can hold.

        Returns:
          Its result.

        Raises:
          ImportError: if a library is not installed.
          RuntimeError: if it fails in another way, or the process has ended.
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
    """Runs a contest: first all once, to compare values, then in timed turns.

    Args:
      entries: the first is the reference.
      checks: how closely the others must agree with it.
      rounds: timed turns of each; the first run is not one of them.
      folder: an existing one, for the values.

    Returns:
      Timings and differences.

    Raises:
      ValueError: if values differ; nothing has been timed then.
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
    """Times contenders within this process.

    Args:
      contenders: each does some units of work and returns their number.
      rounds: timed turns of each; a first turn is not one of them.

    Returns:
      Timings per unit.
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
    """Starts a process to call functions in.

    Args:
      environment: variables on top of ours.

    Yields:
      A function that takes "module:function" and keyword arguments.
    """
    with Worker(environment) as worker:
        yield lambda function, **arguments: worker.ask(
            "call", function=function, arguments=arguments
        )
