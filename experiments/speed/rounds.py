"""Interleaved rounds, and a check beforehand that contenders compute the same."""

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Values = Mapping[str, npt.ArrayLike]
Result = TypeVar("Result")


class Turn(NamedTuple):
    """The time of one unit of work.

    Attributes:
      seconds: by the clock.
      cpu_seconds: of all threads of the process; other programs do not add to them, as
        they do to the clock.
    """

    seconds: float
    cpu_seconds: float


class Timing(NamedTuple):
    """The times of one contender.

    Attributes:
      name: of the contender.
      first: seconds of its first run, which loads and compiles.
      turns: one per round.
    """

    name: str
    first: float
    turns: list[Turn]

    @property
    def seconds(self) -> list[float]:
        """Seconds per unit of work by the clock, one entry per round."""
        return [turn.seconds for turn in self.turns]

    @property
    def median(self) -> float:
        """Median seconds per unit of work."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """Median CPU seconds per unit of work."""
        return statistics.median(turn.cpu_seconds for turn in self.turns)


class Check(NamedTuple):
    """How far a value may lie from that of the reference.

    Attributes:
      limit: the largest difference that passes.
      relative: |x - y| / |y| in the Euclidean norm; otherwise the largest entry of
        |x - y|.
    """

    limit: float
    relative: bool

    def difference(self, value: npt.ArrayLike, reference: npt.ArrayLike) -> float:
        """Returns the difference to limit; infinite if the shapes differ."""
        if np.shape(value) != np.shape(reference):
            return float("inf")
        error = np.ravel(value).astype(np.float64) - np.ravel(reference)
        if not self.relative:
            return float(np.abs(error).max())
        return float(np.linalg.norm(error) / np.linalg.norm(np.ravel(reference)))


def interleave(
    contenders: Mapping[str, Callable[[], Result]], rounds: int
) -> dict[str, list[Result]]:
    """Runs contenders in turns, so that a noisy minute slows all of them.

    Args:
      contenders: each does its work once and returns the time.
      rounds: turns of each.

    Returns:
      The results of each, one entry per round.
    """
    turns: dict[str, list[Result]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            turns[name].append(run())
    return turns


def check_values(
    name: str, values: Values, reference: Values, checks: Mapping[str, Check]
) -> dict[str, float]:
    """Raises unless a contender computes what the reference does.

    Args:
      name: of the contender.
      values: its own.
      reference: ours.
      checks: by name of the value.

    Returns:
      The differences by name of the value.

    Raises:
      ValueError: if a value is missing, not finite or too far from the reference.
    """
    differences = {}
    for key, check in checks.items():
        if key not in values:
            raise ValueError(f"expected {key} of {name}, got {', '.join(values)}.")
        difference = check.difference(values[key], reference[key])
        # Written so that NaN fails too.
        if not difference <= check.limit:
            raise ValueError(
                f"expected {key} of {name} within {check.limit:g} of ours, got a "
                f"difference of {difference:.1e}; nothing is timed before they agree."
            )
        differences[key] = difference
    return differences
