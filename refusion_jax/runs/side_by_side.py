"""Several calls at once, each in a process of its own with its share of the cores.

The processes keep compiled programs where this one does, so that what one has compiled
the others load.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, TypeVar

import jax

from refusion_jax.devices.compilation_cache import use_compilation_cache
from refusion_jax.training.signals import Interrupted, SignalWatch

T = TypeVar("T")
POLL_SECONDS = 0.5
_SPAWN = multiprocessing.get_context("spawn")  # jax does not survive a fork


def side_by_side(
    work: Callable[..., T], calls: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[int, T]]:
    """Makes calls in other processes, and yields what they return as they end.

    Args:
      work: a function of a module, whose result can be pickled. SIGTERM stops it.
      calls: arguments of each call, which can be pickled.
      jobs: how many calls to make at once, at least 1.

    Yields:
      A call's number, and what it has returned.

    Raises:
      AllStopped: after SIGTERM or Ctrl-C, once all calls have ended.
      ChildProcessError: if a process has died, for want of memory for example.
      Exception: what a call has raised; the others are stopped.
    """
    crew = _Crew(core_shares(jobs))
    with SignalWatch() as watch, ThreadPoolExecutor(jobs) as pool:
        numbers = {
            pool.submit(crew.make, work, arguments): number
            for number, arguments in enumerate(calls)
        }
        waiting = set(numbers)
        try:
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                if watch.received:
                    raise AllStopped(watch.received)
                for future in done:
                    yield numbers[future], future.result()
        finally:
            for future in waiting:
                future.cancel()
            crew.stop()


class AllStopped(Interrupted):
    """Raised when a signal has ended several runs, each of which is saved first."""

    def __init__(self, signal_number: int) -> None:
        """Builds a message that says what happened and how to resume."""
        Exception.__init__(
            self,
            f"Stopped by {signal.Signals(signal_number).name}; every run is saved, and "
            "the same command resumes.",
        )
        self.signal_number = signal_number


def core_shares(jobs: int) -> list[list[int]]:
    """Deals out the cores that this process may use.

    Args:
      jobs: number of shares, at least 1.

    Returns:
      Numbers of cores per share: each core in one share, or in several if there are
      fewer cores than shares. Empty shares, which mean any core, where the system does
      not say which cores there are.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(jobs)]
    cores = sorted(os.sched_getaffinity(0))
    return [cores[i % len(cores) :: jobs] for i in range(jobs)]


class _Crew:
    """Makes calls in processes, called by as many threads as there are shares."""

    def __init__(self, shares: Sequence[list[int]]) -> None:
        self._shares: SimpleQueue[list[int]] = SimpleQueue()
        for share in shares:
            self._shares.put(share)
        self._running: set[BaseProcess] = set()
        self._is_stopped = False

    def make(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        """Makes one call, once there are cores for it."""
        share = self._shares.get()
        receiver, sender = _SPAWN.Pipe(duplex=False)
        cache = jax.config.values["jax_compilation_cache_dir"]
        process = _SPAWN.Process(
            target=_send, args=(sender, share, cache, work, arguments)
        )
        try:
            process.start()
            self._running.add(process)
            if self._is_stopped:  # since this thread began
                process.terminate()
            sender.close()  # so that the end of the process is the end of the pipe
            kind, content = receiver.recv()
        except EOFError:
            process.join()
            raise ChildProcessError(
                f"a process has ended with exit code {process.exitcode}, without a "
                "result; the same command resumes."
            ) from None
        finally:
            process.join()
            self._running.discard(process)
            self._shares.put(share)
        if kind == _RAISED:
            raise content
        returned: T = content
        return returned

    def stop(self) -> None:
        """Sends SIGTERM to all processes, and to those that are about to start."""
        self._is_stopped = True
        for process in tuple(self._running):
            process.terminate()


_RETURNED, _RAISED = "returned", "raised"


def _send(
    sender: Connection,
    cores: list[int],
    cache: str | None,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """Makes a call and sends what it returns or raises."""
    # By default each process would take most of a GPU's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if cores:
        os.sched_setaffinity(0, cores)
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches the first process only, which sends SIGTERM
    if cache:
        use_compilation_cache(cache)
    try:
        sender.send((_RETURNED, work(*arguments)))
    except Interrupted as stop:
        sys.exit(128 + stop.signal_number)
    except Exception as error:
        sender.send((_RAISED, error))
