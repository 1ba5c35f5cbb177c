"""Ranks of methods by the values of one metric."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def rank(
    values: Sequence[float] | np.ndarray, *, higher_is_better: bool
) -> Float[np.ndarray, " methods"]:
    """Ranks values from 1, the best; equal values share the mean of their ranks.

    Args:
      values: one value per method; NaN is not ranked.
      higher_is_better: the direction of the metric.

    Returns:
      Ranks from 1 to the number of values that are not NaN; NaN stays NaN.

    Examples:
      >>> rank([0.5, 0.7, 0.5, np.nan], higher_is_better=True).tolist()
      [2.5, 1.0, 2.5, nan]
    """
    values = np.asarray(values, np.float64)
    ranks = np.full(values.shape, np.nan)
    signed = -values if higher_is_better else values
    for i in np.flatnonzero(~np.isnan(values)):
        better = np.sum(signed < signed[i])
        equal = np.sum(signed == signed[i])
        ranks[i] = better + (equal + 1) / 2
    return ranks
