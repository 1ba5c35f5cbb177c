"""What a logger is."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Logger(Protocol):
    """Receives what a run measures, in the order of its steps.

    A run that was interrupted repeats the steps after its last checkpoint, so a step
    may come twice.
    """

    def config(self, values: Mapping[str, Any]) -> None:
        """Receives all settings of the run: once, before all else.

        Args:
          values: setting to value.
        """
        ...

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Receives numbers.

        Args:
          step: number of updates so far.
          stage: name of the learner's stage, or "validation".
          values: name to value.
        """
        ...

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Receives a picture.

        Args:
          step: number of updates so far.
          name: what it shows.
          array: uint8, height x width x 3.
        """
        ...

    def close(self) -> None:
        """Writes what is left; nothing follows."""
        ...
