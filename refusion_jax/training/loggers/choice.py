"""Loggers by name, and several as one."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from refusion_jax.training.loggers.protocol import Logger

_LOG = logging.getLogger(__name__)

ALWAYS = "jsonl"  # scalars.jsonl and pictures/ in the run's folder
_CLASSES = {
    "tensorboard": "TensorBoard",
    "wandb": "WandB",
    "mlflow": "MLflow",
    "trackio": "Trackio",
}
LOGGERS = tuple(_CLASSES)


def logger_names(text: str) -> tuple[str, ...]:
    """Reads the names of loggers.

    >>> logger_names("tensorboard, wandb")
    ('tensorboard', 'wandb')

    Args:
      text: names with commas between; may be empty.

    Raises:
      ValueError: for an unknown name.
    """
    return checked([name.strip() for name in text.split(",") if name.strip()])


def checked(names: Sequence[Any]) -> tuple[Any, ...]:
    """Returns loggers without doubles, once their names are known to exist.

    Args:
      names: names, `jsonl` allowed, and objects that are loggers.

    Raises:
      ValueError: for what is neither.
    """
    for name in names:
        if not isinstance(name, Logger) and name not in (*LOGGERS, ALWAYS):
            raise ValueError(
                f"expected a logger among {', '.join(LOGGERS)}, got {name!r}; choose "
                "from these."
            )
    return tuple(dict.fromkeys(name for name in names if name != ALWAYS))


class Loggers:
    """Several loggers as one; a context manager that closes them."""

    def __init__(
        self, chosen: Sequence[str | Logger], folder: Path, *, resume_step: int
    ) -> None:
        """Opens those that are named.

        Args:
          chosen: names and loggers, see `checked`.
          folder: of the run.
          resume_step: the step from which the run resumes.

        Raises:
          ImportError: if a package is not installed; what is open is closed.
          ValueError: see `checked`, or if a tracker refuses to start, as without a key.
        """
        self._all: list[Logger] = []
        with ExitStack() as opened:
            for each in checked(chosen):
                logger = (
                    _Tracker(each, _opened(each, folder, resume_step))
                    if isinstance(each, str)
                    else each
                )
                self._all.append(logger)
                opened.callback(logger.close)
            self._closing = opened.pop_all()

    def add(self, logger: Logger) -> None:
        """Adds an open logger, which is closed with the others.

        Args:
          logger: to add.
        """
        self._all.append(logger)
        self._closing.callback(logger.close)

    def __enter__(self) -> Self:
        """Returns itself: the constructor has opened the loggers."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes them all."""
        self.close()

    def config(self, values: Mapping[str, Any]) -> None:
        """Passes the settings on; see `Logger`."""
        for logger in self._all:
            logger.config(values)

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Passes numbers on; see `Logger`."""
        for logger in self._all:
            logger.scalars(step, stage, values)

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Passes a picture on; see `Logger`."""
        for logger in self._all:
            logger.image(step, name, array)

    def close(self) -> None:
        """Closes them all, the last first."""
        self._closing.close()


class _Tracker:
    """A logger of another package, which is left out once it has failed.

    It may write to another machine, and the run has its own record of everything.
    """

    def __init__(self, name: str, logger: Logger) -> None:
        self._name, self._logger, self._has_failed = name, logger, False

    def config(self, values: Mapping[str, Any]) -> None:
        self._tell(partial(self._logger.config, values))

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        self._tell(partial(self._logger.scalars, step, stage, values))

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        self._tell(partial(self._logger.image, step, name, array))

    def close(self) -> None:
        self._tell(self._logger.close, is_last=True)

    def _tell(self, call: Callable[[], None], *, is_last: bool = False) -> None:
        if self._has_failed and not is_last:
            return
        try:
            call()
        except Exception as error:  # each tracker has errors of its own
            if self._has_failed:
                return
            self._has_failed = True
            _LOG.warning(
                "%s has failed (%s) and is left out from here on; the run goes on, and "
                "scalars.jsonl has everything.",
                self._name,
                _reason(error),
            )


def _opened(name: str, folder: Path, resume_step: int) -> Logger:
    try:
        return _class(name)(folder, resume_step)
    except ImportError:
        raise
    except Exception as error:  # each tracker has errors of its own
        raise ValueError(
            f"expected {name} to start a run, got {_reason(error)}; set it up, or "
            "leave this logger out."
        ) from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _class(name: str) -> Callable[[Path, int], Logger]:
    module = import_module(f"refusion_jax.training.loggers.{name}")
    found: Callable[[Path, int], Logger] = getattr(module, _CLASSES[name])
    return found
