"""How step sizes fall in the course of a run, alike for all methods."""

import math

WARM_UP = 0.5  # share of the step size in the first epoch
LOWEST_RATE = 0.02  # of the cosine, as a share of its highest


def half_cosine(epoch: int, epochs: int) -> float:
    """Returns the share of a step size that falls along half a cosine.

    Args:
      epoch: from 0; the first one has half the step size.
      epochs: length of the run or phase; those after it have the lowest.

    Examples:
      >>> [round(half_cosine(epoch, 4), 2) for epoch in range(5)]
      [0.5, 1.0, 0.51, 0.02, 0.02]
    """
    if epoch == 0:
        return WARM_UP
    progress = (epoch - 1) / max(1, epochs - 2)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return LOWEST_RATE + (1 - LOWEST_RATE) * cosine
