"""Interleaved rounds, and the values that contenders must agree on before them."""

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np

Values = Mapping[str, np.ndarray]
Result = TypeVar("Result")


class Turn(NamedTuple):
    """What a unit of work took.

    Attributes:
      seconds: by the clock.
      cpu_seconds: of all threads of the process; where other programs run, clocks count
        those as well.
    """

    seconds: float
    cpu_seconds: float


class Timing(NamedTuple):
    """What the rounds gave for one contender.

    Attributes:
      name: of the contender.
      first: seconds of its first run, which loads and compiles.
      turns: one a round.
    """

    name: str
    first: float
    turns: list[Turn]

    @property
    def seconds(self) -> list[float]:
        """Of a unit of work by the clock, one entry a round."""
        return [turn.seconds for turn in self.turns]

    @property
    def median(self) -> float:
        """Median seconds of a unit of work."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """Median CPU seconds of a unit of work."""
        return statistics.median(turn.cpu_seconds for turn in self.turns)


class Check(NamedTuple):
    """How far a value may lie from the reference's.

    Attributes:
      limit: the largest difference that passes.
      relative: |x - y| / |y| in the Euclidean norm; otherwise the largest entry of
        |x - y|.
    """

    limit: float
    relative: bool

    def difference(self, value: np.ndarray, reference: np.ndarray) -> float:
        """The difference that the limit is for; infinite if shapes differ."""
        if np.shape(value) != np.shape(reference):
            return float("inf")
        error = np.ravel(value).astype(np.float64) - np.ravel(reference)
        if not self.relative:
            return float(np.abs(error).max())
        return float(np.linalg.norm(error) / np.linalg.norm(np.ravel(reference)))


def interleave(
    contenders: Mapping[str, Callable[[], Result]], rounds: int
) -> dict[str, list[Result]]:
    """Times contenders in turns, so that a noisy minute meets all of them.

    Args:
      contenders: each does its work once and says what it took.
      rounds: how often each has its turn.

    Returns:
      What each took, one entry a round.
    """
    turns: dict[str, list[Result]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            turns[name].append(run())
    return turns


def check_values(
    name: str, values: Values, reference: Values, checks: Mapping[str, Check]
) -> dict[str, float]:
    """Refuses a contender that computes something else.

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
