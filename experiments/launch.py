"""How every binary starts, reports what is wrong, and ends."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app
from absl import logging as absl_logging

# As the command does, and before JAX is imported: its compiler would raise an alarm
# among asterisks where a compilation takes minutes on a busy machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def launch(work: Callable[[], int], *expected: type[Exception]) -> None:
    """Parses the flags, runs a binary's work and exits.

    The exit code is that of `work`; 1 after an expected error, reported in one sentence
    on standard error; 128 plus the signal's number where the error has a
    `signal_number`. Any other exception is a bug and keeps its traceback.

    Args:
      work: what the binary does, called once the flags are parsed; returns the exit
        code.
      *expected: exceptions a user can cause, besides ValueError and OSError.
    """

    reported: tuple[type[Exception], ...] = (ValueError, OSError, *expected)

    def main(argv: list[str]) -> int:
        if len(argv) > 1:
            raise app.UsageError(f"Expected flags only, got {argv[1]!r}.")
        # absl would show the log of every library; only ours is of interest.
        absl_logging.set_verbosity(absl_logging.WARNING)
        logging.getLogger("refusion_jax").setLevel(logging.INFO)
        # JAX reports each kind of device that the machine lacks.
        logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)
        try:
            return work()
        except reported as error:
            print(f"{Path(argv[0]).stem}: {error}", file=sys.stderr)
            signal_number: int | None = getattr(error, "signal_number", None)
            return 1 if signal_number is None else 128 + signal_number
        except (AssertionError, RuntimeError):  # JAX's errors, or a bug
            from refusion_jax.devices.starting import start_failure

            failure = start_failure()
            if failure is None:
                raise
            print(f"{Path(argv[0]).stem}: {failure}", file=sys.stderr)
            return 1

    app.run(main)
