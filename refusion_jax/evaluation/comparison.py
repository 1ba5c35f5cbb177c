"""Comparison of methods: marks, and the certainty of a difference.

All functions work on plain arrays. Marks compare the values of one column of
a table; `paired_bootstrap` and `sign_test` compare two methods on the same pictures.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

RESAMPLES = 10_000
BATCH = 1_000  # resamples held in memory at once


def marks(values: Sequence[float] | np.ndarray, *, higher_is_better: bool) -> list[str]:
    """Marks the best and the second best values.

    Args:
      values: one value per method, rounded as printed, so that values that read equal
        are marked equally. NaN is never marked.
      higher_is_better: the direction of the metric.

    Returns:
      "best", "second" or "" for each value. Several values may share a mark; if two
      share the best, the next value is still the second best. A single value gets no
      mark.

    Examples:
      >>> marks([0.7, 0.5, 0.7, 0.4], higher_is_better=True)
      ['best', 'second', 'best', '']
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
    """Returns the confidence interval of a mean difference by the percentile bootstrap.

    Pictures are drawn with replacement, each with the difference between its two
    methods, so that the variation from picture to picture cancels (Efron & Tibshirani,
    An Introduction to the Bootstrap, 1993, chapter 13).

    Args:
      differences: the difference between the methods for each picture, finite.
      resamples: number of means to draw.
      level: confidence level, in (0, 1).
      seed: equal seeds give equal intervals.

    Returns:
      The interval; NaN for fewer than two pictures, which have no spread.

    Raises:
      ValueError: if `level` or `resamples` is out of range.

    Examples:
      >>> paired_bootstrap(np.array([0.5, 0.5, 0.5]))
      Interval(low=0.5, high=0.5)
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
    from scipy.stats import bootstrap  # comes with jax; slow to import

    found = bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        batch=BATCH,
        confidence_level=level,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def sign_test(wins: int, losses: int) -> float:
    """Returns the p-value of the exact two-sided sign test.

    It is the probability that a fair coin is at least as one-sided as this:

    p = min(1, 2 sum_{i <= min(wins, losses)} C(n, i) / 2^n),   n = wins + losses

    Args:
      wins, losses: numbers of pictures on which the one and the other method is better;
        ties are left out.

    Returns:
      The p-value in (0, 1].

    Examples:
      >>> sign_test(5, 0)
      0.0625
    """
    if wins + losses == 0:
        return 1.0
    from scipy.stats import binomtest  # comes with jax; slow to import

    return float(binomtest(wins, wins + losses).pvalue)


class Difference(NamedTuple):
    """The difference between a method and a reference method by one metric.

    Attributes:
      mean: mean of method minus reference over the pictures where both are defined.
      interval: confidence interval of that mean, see `paired_bootstrap`.
      wins, losses, ties: numbers of pictures on which the method is better, worse and
        equal.
      p_value: p-value of the sign test.
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
      values, reference: one value per picture; pictures where either is not finite are
        left out.
      higher_is_better: whether a positive difference counts as a win.
      resamples, seed: see `paired_bootstrap`.

    Returns:
      The comparison; its mean is NaN and its p_value 1 if no picture is left.

    Examples:
      >>> ours, theirs = np.array([3.0, 5.0, 4.0]), np.array([1.0, 5.0, 2.0])
      >>> compared = difference(ours, theirs, higher_is_better=True)
      >>> compared.wins, compared.losses, compared.ties, compared.p_value
      (2, 0, 1, 0.5)
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
