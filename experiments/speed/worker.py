"""A process that holds one contender; requests and answers are lines of JSON.

Each contender has a process of its own, because thread pools, allocators and JAX's
devices are settings of a whole process. A contender is made by a function, given as
"module:function", and has two methods:

    first() -> dict of arrays   runs from the initial state, returns values to compare
    run() -> None               does one unit of work, finished when it returns
"""

import ctypes
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Session:
    """The requests, one method each; its arguments are those of the request."""

    def __init__(self) -> None:
        """Starts without a contender."""
        self._contender: Any = None

    def make(self, factory: str, arguments: dict[str, Any]) -> None:
        """Makes the contender."""
        self._contender = find(factory)(**arguments)

    def first(self, path: str) -> float:
        """Runs the contender for the first time, stores its values, returns seconds."""
        started = time.perf_counter()
        values = self._contender.first()
        seconds = time.perf_counter() - started
        np.savez(path, **values)
        give_memory_back()
        return seconds

    def time(self, least_seconds: float) -> tuple[float, float]:
        """Times units of work; returns seconds and CPU seconds per unit.

        One unit beforehand is not timed: memory given back since the last turn, and
        caches used by others, are not this contender's cost.
        """
        gc.collect()
        self._contender.run()
        started, cpu_started, units = time.perf_counter(), time.process_time(), 0
        while True:
            self._contender.run()
            units += 1
            elapsed = time.perf_counter() - started
            if elapsed >= least_seconds:
                cpu_elapsed = time.process_time() - cpu_started
                give_memory_back()
                return elapsed / units, cpu_elapsed / units

    def call(self, function: str, arguments: dict[str, Any]) -> Any:
        """Calls any function with a result JSON can hold."""
        return find(function)(**arguments)

    def memory(self) -> dict[str, int]:
        """Returns bytes of main memory now, and at the peak; Linux only."""
        names = {"VmRSS": "now", "VmHWM": "peak"}
        lines = Path("/proc/self/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {
            ours: int(fields[name].split()[0]) << 10 for name, ours in names.items()
        }

    def forget_peak(self) -> None:
        """Resets the peak to what is held now; Linux only."""
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")


def give_memory_back() -> None:
    """Returns free memory to the system, for the next contender; glibc only."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
        trim(0)


def find(name: str) -> Callable[..., Any]:
    """Returns the function of "module:function"."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def main() -> None:
    """Answers requests until standard input ends."""
    # Libraries may print, so standard output is kept for answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = Session()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = getattr(session, request["method"])(**request["arguments"])
            answer = {"result": result}
        except Exception as error:
            # Any error is reported; the process that asked decides what to do.
            answer = {"error": str(error), "kind": type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
