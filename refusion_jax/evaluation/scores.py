"""Scores of a method on many pairs, their means, and the files that hold them."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from refusion_jax.files.atomic import replace_file


class Scores(NamedTuple):
    """What one method scores.

    Attributes:
      stems: name of each pair.
      keys: name of each metric.
      values: a row a pair, a column a metric; NaN where a metric is undefined.
    """

    stems: tuple[str, ...]
    keys: tuple[str, ...]
    values: Float[np.ndarray, "images metrics"]

    def column(self, key: str) -> Float[np.ndarray, " images"]:
        """The values of one metric.

        Args:
          key: one of `keys`.

        Returns:
          One value a pair.
        """
        return self.values[:, self.keys.index(key)]

    def mean(self, key: str) -> float:
        """Mean over the pairs for which a metric is defined.

        Args:
          key: one of `keys`.

        Returns:
          The mean; NaN if it is defined for none.
        """
        values = self.column(key)
        finite = values[np.isfinite(values)]
        return float(finite.mean()) if len(finite) else math.nan

    def defined(self, key: str) -> int:
        """For how many pairs a metric is defined.

        Args:
          key: one of `keys`.

        Returns:
          How many of its values are finite.
        """
        return int(np.isfinite(self.column(key)).sum())


def to_json(scores: Scores) -> dict[str, Any]:
    """Scores as JSON can hold them.

    Args:
      scores: of one method.

    Returns:
      {"images": {stem: {metric: value}}, "mean": {metric: value}}; None where
      undefined.
    """
    images = {
        stem: {
            key: _or_none(value) for key, value in zip(scores.keys, row, strict=True)
        }
        for stem, row in zip(scores.stems, scores.values.tolist(), strict=True)
    }
    mean = {key: _or_none(scores.mean(key)) for key in scores.keys}
    return {"images": images, "mean": mean}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_scores(folder: Path, methods: Mapping[str, Scores]) -> None:
    """Writes `metrics.json` and `metrics.csv`.

    The first method's scores are `metrics.json`; where there are several, all of them
    are `methods.json`, {name: as metrics.json}. The CSV has a line a method and pair,
    empty where a metric is undefined.

    Args:
      folder: to write to, made if it is missing.
      methods: scores by name, of the same pairs and metrics.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: to_json(scores) for name, scores in methods.items()}
    _write_json(folder / "metrics.json", next(iter(parts.values())))
    if len(parts) > 1:
        _write_json(folder / "methods.json", parts)
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["method", "image", *next(iter(methods.values())).keys])
    for name, part in parts.items():
        for stem, values in part["images"].items():
            writer.writerow([name, stem, *values.values()])
    replace_file(folder / "metrics.csv", lines.getvalue().encode("utf-8", "replace"))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False)
    replace_file(path, f"{text}\n".encode())
