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
    from scipy.stats import rankdata  # comes with jax; slow to import

    values = np.asarray(values, np.float64)
    signed = -values if higher_is_better else values
    return np.asarray(rankdata(signed, nan_policy="omit"), np.float64)
