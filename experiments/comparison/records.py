"""The scores of a test set on disk: what was measured, and of what."""

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refusion_jax.evaluation.scores import Scores
from refusion_jax.files.atomic import replace_file

DIGITS = 6  # of a stored value


class Measured(NamedTuple):
    """The scores of a method.

    Attributes:
      origin: what made its pictures, with the checksum of its weights or the version of
        its library: scores of the same origin need not be measured again.
      scores: one row per pair.
    """

    origin: str
    scores: Scores


class Record(NamedTuple):
    """The scores of a test set.

    Attributes:
      pictures: checksum of its pictures.
      methods: what was measured, by method.
    """

    pictures: str
    methods: dict[str, Measured]


def read_record(path: Path) -> Record | None:
    """Reads a record.

    Args:
      path: a file that `write_record` wrote.

    Returns:
      The record; None if there is no such file.

    Raises:
      ValueError: if the file holds something else.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        methods = {
            name: Measured(
                part["origin"],
                Scores(
                    tuple(part["images"]),
                    tuple(part["keys"]),
                    np.array(list(part["images"].values()), np.float64),
                ),
            )
            for name, part in content["methods"].items()
        }
        return Record(content["pictures"], methods)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"expected scores written by compare.py, got {path} ({error!r}); remove it."
        ) from error


def write_record(path: Path, record: Record) -> None:
    """Writes a record as JSON, one line per picture.

    Args:
      path: the file, in an existing folder.
      record: what to write; values keep six digits, undefined ones become null.
    """
    content = {
        "pictures": record.pictures,
        "methods": {
            name: {
                "origin": measured.origin,
                "keys": measured.scores.keys,
                "images": {
                    stem: [_stored(value) for value in row]
                    for stem, row in zip(
                        measured.scores.stems,
                        measured.scores.values.tolist(),
                        strict=True,
                    )
                },
            }
            for name, measured in record.methods.items()
        },
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    # json breaks the line after each number; rows hold nothing but numbers and null.
    rows = re.compile(r"\[[\s\d.,eul n+-]*\]")
    text = rows.sub(lambda row: " ".join(row[0].split()), text)
    replace_file(path, f"{text}\n".encode())


def _stored(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
