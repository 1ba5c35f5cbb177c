"""Pictures of labels: what class each pixel belongs to, never interpolated.

Label 0 means unlabelled: no loss counts it. Files write labels in three ways:

index    the labels themselves, 0 unlabelled
shift    classes from 0 without an unlabelled one: 1 is added
binary   0 and 255 (or 0 and 1), an object and the rest: rest 1, object 2
"""

import os

import numpy as np
from jaxtyping import Int

from refusion_jax.array_types import UNLABELLED
from refusion_jax.pictures.codecs import open_picture
from refusion_jax.pictures.rasters import Opened

VALUES = ("index", "shift", "binary")
MARKS = 64  # per picture
_BINARY = ({0}, {255}, {0, 255}, {1}, {0, 1})  # the values that a mask may have


def shifted_labels(
    written: np.ndarray, values: str, *, classes: int | None = None, name: str = "them"
) -> np.ndarray:
    """Returns labels with 0 for unlabelled pixels only.

    >>> shifted_labels(np.array([[0, 255]], np.uint8), "binary").tolist()
    [[1, 2]]
    >>> shifted_labels(np.array([[0, 3]], np.uint8), "shift", classes=3)
    Traceback (most recent call last):
    ValueError: expected labels below 3 (classes), got 4 in them (after shift); ...

    Args:
      written: labels as a file has them, uint8.
      values: how, one of VALUES.
      classes: number of classes, the unlabelled one included; None accepts all.
      name: of the labels, for error messages.

    Returns:
      uint8, of the same shape.

    Raises:
      ValueError: for a label that is not below `classes`, a mask of more than two
        values, or an unknown way of writing.
    """
    if values not in VALUES:
        raise ValueError(
            f"expected label_values to be one of {', '.join(VALUES)}, "
            f"got {values!r}; choose one of these."
        )
    if values == "binary":
        found = set(np.unique(written).tolist())
        if found not in _BINARY:
            shown = ", ".join(str(x) for x in sorted(found)[:5])
            raise ValueError(
                f"expected a binary mask of 0 and 255, got {name} with {shown}; choose "
                "other label_values."
            )
        labels = np.where(written > 0, np.uint8(2), np.uint8(1))
    elif values == "shift":
        if written.max(initial=0) == np.iinfo(np.uint8).max:
            raise ValueError(
                f"expected labels below 255 to add 1 to, got 255 in {name}; choose "
                "other label_values."
            )
        labels = written + np.uint8(1)
    else:
        labels = written
    highest = int(labels.max(initial=0))
    if classes is not None and highest >= classes:
        after = f" (after {values})" if values != "index" else ""
        raise ValueError(
            f"expected labels below {classes} (classes), got {highest} in {name}"
            f"{after}; raise classes, or choose other label_values."
        )
    return labels


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads the labels of a grey or palette picture, as they are written.

    Args:
      path: a picture file.

    Returns:
      uint8, (height, width).

    Raises:
      FileNotFoundError, ValueError: if it cannot be read, or has colours.
    """
    return open_picture(path, _indices)


def _indices(opened: Opened) -> np.ndarray:
    image = opened.image
    if image is not None and image.mode == "1":
        image = image.convert("L")
    if image is None or image.mode not in ("L", "P"):
        mode = "another kind" if image is None else image.mode
        raise ValueError(f"labels are grey or of a palette, not {mode}")
    return np.asarray(image)


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
