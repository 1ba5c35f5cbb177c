"""Signals that end a run, after it has been saved."""

import logging
import signal
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any, Self

_LOG = logging.getLogger(__name__)


class Interrupted(Exception):
    """Raised when a signal has ended a run, which is saved first.

    Attributes:
      signal_number: number of SIGTERM or SIGINT.
    """

    def __init__(self, signal_number: int, step: int) -> None:
        """Builds a message that says what happened and how to resume."""
        saved = f"saved at step {step}; the same command resumes from there"
        super().__init__(
            f"Stopped by {signal.Signals(signal_number).name}, "
            f"{saved if step else 'before the first step: nothing is lost'}."
        )
        self.signal_number = signal_number


class SignalWatch(ExitStack):
    """Remembers SIGTERM or SIGINT; a context manager.

    A second signal has its usual effect.

    Attributes:
      received: number of the first signal; 0 before it.
    """

    received = 0

    def __enter__(self) -> Self:
        """Starts watching."""
        super().__enter__()
        # Python allows handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                before: Any = signal.signal(number, self._handle)
                self.callback(signal.signal, number, before)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        _LOG.info("Received %s: saving.", signal.Signals(number).name)
        self.close()  # restores the previous handlers
