"""Marks on labelled objects, so that crops can be laid over them."""

import numpy as np
from jaxtyping import Int

from refusion_jax.data.sources import PairSource, in_order

UNLABELLED = 0
MARKS = 64  # per picture
Marks = Int[np.ndarray, "pairs marks 2"]


def mark_objects(pairs: PairSource) -> Marks:
    """Marks pixels of objects in each pair.

    Args:
      pairs: with labels.

    Returns:
      (row, column) of `MARKS` pixels of each pair, see `mark_object`.

    Raises:
      ValueError: if the pairs have no labels, or none of them has an object.
    """
    marks = np.stack([_of_pair(pair) for pair in in_order(pairs)])
    if (marks < 0).all():
        raise ValueError(
            "expected two labelled classes in at least one picture, to lay crops over "
            "the rarer one, got none; leave out --object-share."
        )
    return marks


def mark_object(labels: np.ndarray, count: int = MARKS) -> Int[np.ndarray, "marks 2"]:
    """Marks pixels of every labelled class but the most frequent one.

    The classes are marked in turn, so that each has as many marks as any other; the
    pixels of a class are marked at equal distances in reading order.

    >>> mark_object(np.array([[1, 1, 1], [1, 0, 2], [3, 1, 2]]), count=4).tolist()
    [[1, 2], [2, 0], [2, 2], [2, 0]]

    Args:
      labels: the class of each pixel, 0 where it is unlabelled.
      count: number of marks.

    Returns:
      (row, column) of each mark; -1 everywhere if there are not two labelled classes.
    """
    classes, sizes = np.unique(labels[labels != UNLABELLED], return_counts=True)
    if len(classes) < 2:
        return np.full((count, 2), -1, np.int32)
    rarer = np.delete(classes, sizes.argmax())
    places = [np.argwhere(labels == each) for each in rarer]
    turns = -(-count // len(rarer))
    marks = [
        places[i % len(rarer)][i // len(rarer) * len(places[i % len(rarer)]) // turns]
        for i in range(count)
    ]
    return np.stack(marks).astype(np.int32)


def _of_pair(pair: tuple[np.ndarray, ...]) -> np.ndarray:
    if len(pair) < 3:
        raise ValueError(
            "expected labels with every pair, to lay crops over objects, got none; "
            "name their folder by --labels=FOLDER, or leave out --object-share."
        )
    return mark_object(pair[2])
