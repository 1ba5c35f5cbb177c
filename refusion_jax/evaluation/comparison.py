"""Methods side by side: marks, ranks, and how sure a difference is.

Everything here works on plain arrays. Means and ranks compare columns of a table;
`paired_bootstrap` and `sign_test` compare two methods on the same pictures.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

RESAMPLES = 10_000
CHUNK = 1_000  # resamples held in memory at once


def rank(
    values: Sequence[float] | np.ndarray, *, higher_is_better: bool
) -> Float[np.ndarray, " methods"]:
    """Ranks values from the best, 1; equal values share the mean of their places.

    Args:
      values: one a method; NaN has no place.
      higher_is_better: direction.

    Returns:
      Ranks, 1 to the number of values that are not NaN; NaN stays NaN.
    """
    values = np.asarray(values, np.float64)
    ranks = np.full(values.shape, np.nan)
    signed = -values if higher_is_better else values
    for i in np.flatnonzero(~np.isnan(values)):
        better = np.sum(signed < signed[i])
        equal = np.sum(signed == signed[i])
        ranks[i] = better + (equal + 1) / 2
    return ranks


def marks(values: Sequence[float] | np.ndarray, *, higher_is_better: bool) -> list[str]:
    """Which values are the best and the second best.

    Args:
      values: one a method, rounded as they are printed: what reads equal is marked
        equally. NaN is never marked.
      higher_is_better: direction.

    Returns:
      "best", "second" or "" for each. Several may share a mark; where two share the
      best, the next value is still the second best. Fewer than two values get no mark.
    """
    values = np.asarray(values, np.float64)
    defined = values[~np.isnan(values)]
    if len(defined) < 2:
        return [""] * len(values)
    order = np.unique(defined)
    if higher_is_better:
        order = order[::-1]
    names = dict(zip(order[:2].tolist(), ("best", "second"), strict=False))
    return [names.get(value, "") for value in values.tolist()]


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


def paired_bootstrap(
    differences: Float[np.ndarray, " images"],
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Confidence interval of a mean difference, by the percentile bootstrap.

    Pictures are drawn with replacement, each with the difference of its two methods:
    how pictures differ among themselves then cancels. (Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13.)

    Args:
      differences: method minus method for each picture, finite.
      resamples: how many means are drawn.
      level: of confidence, in (0, 1).
      seed: equal seeds give equal intervals.

    Returns:
      The interval; NaN for fewer than two pictures, which say nothing of a spread.

    Raises:
      ValueError: if level or resamples is out of range.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(
            "expected a level in (0, 1) and at least one resample, got level="
            f"{level} and resamples={resamples}; try level=0.95, resamples={RESAMPLES}."
        )
    differences = np.asarray(differences, np.float64)
    count = len(differences)
    if count < 2:
        return Interval(math.nan, math.nan)
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            differences[generator.integers(0, count, (size, count))].mean(axis=1)
            for size in _chunks(resamples)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _chunks(total: int) -> list[int]:
    return [min(CHUNK, total - start) for start in range(0, total, CHUNK)]


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided sign test: would a fair coin be as one-sided as this?

    p = min(1, 2 sum_{i <= min(wins, losses)} C(n, i) / 2^n),   n = wins + losses

    Args:
      wins, losses: on how many pictures the one, the other method is better; ties are
        left out.

    Returns:
      The p-value in (0, 1].
    """
    count = wins + losses
    tail = sum(math.comb(count, i) for i in range(min(wins, losses) + 1))
    # Division of integers: exact counts of any size, one rounding.
    return min(1.0, 2 * tail / 2**count)


class Difference(NamedTuple):
    """One metric of a method against the same metric of a reference method.

    Attributes:
      mean: of method minus reference over the pictures where both are defined.
      interval: of that mean, see `paired_bootstrap`.
      wins, losses, ties: on how many pictures the method is better, worse, equal.
      p_value: of the sign test.
    """

    mean: float
    interval: Interval
    wins: int
    losses: int
    ties: int
    p_value: float


def difference(
    values: Float[np.ndarray, " images"],
    reference: Float[np.ndarray, " images"],
    *,
    higher_is_better: bool,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Compares two methods by one metric on the same pictures.

    Args:
      values, reference: a value a picture; pictures where either is not finite are
        left out.
      higher_is_better: which sign counts as a win.
      resamples, seed: see `paired_bootstrap`.

    Returns:
      The comparison; NaN mean and p_value 1 if no picture is left.
    """
    with np.errstate(invalid="ignore"):
        deltas = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    deltas = deltas[np.isfinite(deltas)]
    above, below = int(np.sum(deltas > 0)), int(np.sum(deltas < 0))
    wins, losses = (above, below) if higher_is_better else (below, above)
    return Difference(
        mean=float(deltas.mean()) if len(deltas) else math.nan,
        interval=paired_bootstrap(deltas, resamples=resamples, seed=seed),
        wins=wins,
        losses=losses,
        ties=len(deltas) - wins - losses,
        p_value=sign_test(wins, losses),
    )
