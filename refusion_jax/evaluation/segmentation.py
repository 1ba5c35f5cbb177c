"""How well labels are predicted: confusion counts and the IoU of each class.

Label 0 is unlabelled (`pictures.labels`): its pixels count in nothing. A class that is
neither true nor predicted anywhere has no IoU, is left out of the mean, and is named.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from refusion_jax.array_types import UNLABELLED

Counts = Int[np.ndarray, "classes classes"]


class Ious(NamedTuple):
    """The IoU of each class.

    Attributes:
      classes: intersection over union in [0, 1] by label; NaN for label 0 and for
        classes that are neither true nor predicted.
      mean: over the classes that have one; NaN if none has.
      absent: labels without a true pixel. Each that is predicted all the same counts 0
        in the mean, the others do not count.
    """

    classes: Float[np.ndarray, " classes"]
    mean: float
    absent: tuple[int, ...]


def confusion(
    predicted: Integer[np.ndarray, "*shape"],
    labels: Integer[np.ndarray, "*shape"],
    classes: int,
) -> Counts:
    """Counts the labelled pixels of each true class by what is predicted.

    Counts of several pictures add up.

    >>> confusion(np.array([1, 2, 2, 1]), np.array([1, 2, 1, 0]), 3).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 0, 1]]

    Args:
      predicted: labels from 0 to classes - 1.
      labels: the true ones; pixels of label 0 do not count.
      classes: number of classes, the unlabelled one included.

    Returns:
      Pixels by [true label, predicted label].

    Raises:
      ValueError: for other shapes, or labels outside the classes.
    """
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.shape != labels.shape:
        raise ValueError(
            f"expected predictions of the labels' shape {labels.shape}, got "
            f"{predicted.shape}; make them of one size."
        )
    for name, values in (("predicted", predicted), ("true", labels)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(
                f"expected {name} labels from 0 to {classes - 1}, got "
                f"{values.min()} to {values.max()}; check the number of classes."
            )
    counts = labels != UNLABELLED
    places = labels[counts].astype(np.int64) * classes + predicted[counts]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def ious(counts: Counts) -> Ious:
    """Returns the IoU of each class, and their mean.

    >>> half = ious(np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1]]))
    >>> half.classes.tolist(), half.mean
    ([nan, 0.5, 0.5], 0.5)

    Args:
      counts: from `confusion`, or a sum of such.
    """
    true, said = counts.sum(axis=1), counts.sum(axis=0)
    hits = np.diag(counts).astype(np.float64)
    unions = (true + said).astype(np.float64) - hits
    unions[UNLABELLED] = 0  # predicting "unlabelled" is a miss of the true class only
    classes = np.divide(hits, unions, out=np.full_like(hits, np.nan), where=unions > 0)
    mean = float(np.nanmean(classes)) if (unions > 0).any() else float("nan")
    absent = tuple(int(i) for i in np.flatnonzero(true == 0) if i != UNLABELLED)
    return Ious(classes, mean, absent)


def constant_guess(counts: Counts) -> Float[np.ndarray, " classes"]:
    """Returns the IoU of each class if it were predicted everywhere: its share.

    >>> constant_guess(np.array([[0, 0, 0], [0, 1, 1], [0, 0, 2]])).tolist()
    [0.0, 0.5, 0.5]

    Args:
      counts: from `confusion`, or a sum of such.
    """
    true = counts.sum(axis=1)
    return true / max(int(true.sum()), 1)


def total(counts: Sequence[Counts]) -> Counts:
    """Adds up the counts of pictures.

    Args:
      counts: at least one, of the same number of classes.
    """
    return np.sum(np.stack(list(counts)), axis=0)
