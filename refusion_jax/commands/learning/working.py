"""What commands that train have in common: notes above the bar, and how they end."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from refusion_jax.commands.messages import complain

PACKAGE = "refusion_jax"


class Notes(logging.Handler):
    """Prints the package's log on stderr, where a progress bar may stand."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record as one line.

        Args:
          record: to print.
        """
        from tqdm import tqdm

        with tqdm.external_write_mode():
            complain(record.getMessage())


@contextmanager
def working(*, is_quiet: bool = False) -> Iterator[list[int]]:
    """Shows notes, and tells in a sentence why a training has ended early.

    Args:
      is_quiet: whether to show warnings only.

    Yields:
      A list, to which the exit code is added: 1 if the training failed, 128 plus the
      number of the signal that stopped it.
    """
    from refusion_jax.devices.hosts import HostLostError
    from refusion_jax.training.signals import Interrupted
    from refusion_jax.training.trainer import NonFiniteError

    codes: list[int] = []
    handler, log = Notes(), logging.getLogger(PACKAGE)
    level, propagates = log.level, log.propagate
    log.addHandler(handler)
    log.propagate = False  # a library's handler at the root would print it again
    log.setLevel(logging.WARNING if is_quiet else logging.INFO)
    try:
        yield codes
    except (NonFiniteError, HostLostError) as error:
        complain(error)
        codes.append(1)
    except Interrupted as stop:
        complain(stop)
        codes.append(128 + stop.signal_number)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagates
