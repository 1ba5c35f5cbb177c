"""The scores of a method on many pairs, their means, and the files that store them."""

import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from jaxtyping import Float

from refusion_jax.files.atomic import replace_file
from refusion_jax.metrics import ALL_METRICS


class Scores(NamedTuple):
    """The scores of one method.

    Attributes:
      stems: name of each pair.
      keys: name of each metric.
      values: one row per pair, one column per metric; NaN where a metric is undefined.

    Examples:
      >>> values = np.array([[6.0, 30.0], [math.nan, 40.0]])
      >>> scores = Scores(("1", "2"), ("en", "sd"), values)
      >>> scores.mean("en"), scores.defined("en"), scores.column("sd").tolist()
      (6.0, 1, [30.0, 40.0])
    """

    stems: tuple[str, ...]
    keys: tuple[str, ...]
    values: Float[np.ndarray, "images metrics"]

    def __getitem__(self, place: Any) -> Any:
        """Returns the values of a metric by its key, or a field by its number."""
        # Not by `super`, which the class of a NamedTuple lacks.
        by_key = isinstance(place, str)
        return self.column(place) if by_key else tuple.__getitem__(self, place)

    def __repr__(self) -> str:
        """Names the number of pairs and the means."""
        means = ", ".join(f"{key}={self.mean(key):.4g}" for key in self.keys)
        return f"Scores({len(self.stems)} pairs; means {means})"

    def _repr_html_(self) -> str:
        """Returns a table for a notebook: a row per pair, and the means."""
        head = "".join(f"<th>{html.escape(key)}</th>" for key in ("", *self.keys))
        rows = [*zip(self.stems, self.values.tolist(), strict=True)]
        rows.append(("mean", list(self.mean().values())))
        body = "".join(
            f"<tr><th>{html.escape(stem)}</th>"
            + "".join(f"<td>{value:.4g}</td>" for value in values)
            + "</tr>"
            for stem, values in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def column(self, key: str) -> Float[np.ndarray, " images"]:
        """Returns the values of one metric.

        Args:
          key: one of `keys`.

        Returns:
          One value per pair.

        Raises:
          ValueError: if there is no such metric.
        """
        if key not in self.keys:
            raise ValueError(
                f"expected a metric among {', '.join(self.keys)}, got {key!r}; name "
                "one that was computed."
            )
        return self.values[:, self.keys.index(key)]

    @overload
    def mean(self) -> dict[str, float]: ...
    @overload
    def mean(self, key: str) -> float: ...
    def mean(self, key: str | None = None) -> float | dict[str, float]:
        """Returns the mean of a metric over the pairs for which it is defined.

        Args:
          key: one of `keys`; None for all of them.

        Returns:
          The mean, NaN if the metric is defined for no pair; or all means by key.
        """
        if key is None:
            return {name: self.mean(name) for name in self.keys}
        values = self.column(key)
        finite = values[np.isfinite(values)]
        return float(finite.mean()) if len(finite) else math.nan

    def worst(self, key: str, count: int = 5) -> list[str]:
        """Returns the pairs with the worst values of a metric, the worst first.

        Args:
          key: one of `keys`.
          count: how many at most.

        Returns:
          Their stems; pairs without a value are left out.
        """
        values = self.column(key)
        signed = values if ALL_METRICS[key].higher_is_better else -values
        order = np.argsort(np.where(np.isfinite(values), signed, np.inf), kind="stable")
        order = order[: min(count, int(np.isfinite(values).sum()))]
        return [self.stems[i] for i in order]

    def to_dataframe(self) -> Any:
        """Returns a pandas.DataFrame: a row per pair, a column per metric.

        Raises:
          ImportError: without pandas.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise ImportError(
                "expected the package pandas to make a DataFrame, got an environment "
                "without it; install it with pip install pandas."
            ) from error
        return pandas.DataFrame(
            self.values, index=list(self.stems), columns=list(self.keys)
        )

    def only(self, keys: Sequence[str]) -> "Scores":
        """Returns the scores by some of the metrics.

        Args:
          keys: some of `keys`, in the order wanted.

        Returns:
          Scores of the same pairs.
        """
        columns = [self.keys.index(key) for key in keys]
        return Scores(self.stems, tuple(keys), self.values[:, columns])

    def defined(self, key: str) -> int:
        """Returns the number of pairs for which a metric is defined.

        Args:
          key: one of `keys`.

        Returns:
          The number of its finite values.
        """
        return int(np.isfinite(self.column(key)).sum())


def to_json(scores: Scores) -> dict[str, Any]:
    """Converts scores to a structure that JSON can represent.

    Args:
      scores: scores of one method.

    Returns:
      {"images": {stem: {metric: value}}, "mean": {metric: value}}; None where a value
      is undefined.

    Examples:
      >>> to_json(Scores(("1", "2"), ("sd",), np.array([[30.0], [math.nan]])))
      {'images': {'1': {'sd': 30.0}, '2': {'sd': None}}, 'mean': {'sd': 30.0}}
    """
    images = {
        stem: {
            key: _or_none(value) for key, value in zip(scores.keys, row, strict=True)
        }
        for stem, row in zip(scores.stems, scores.values.tolist(), strict=True)
    }
    mean = {key: _or_none(scores.mean(key)) for key in scores.keys}
    return {"images": images, "mean": mean}


def from_json(content: Mapping[str, Any]) -> Scores:
    """Reads what `to_json` returned.

    Args:
      content: with an entry "images" of at least one picture.

    Returns:
      The scores.

    Examples:
      >>> scores = Scores(("1", "2"), ("sd",), np.array([[30.0], [math.nan]]))
      >>> read = from_json(to_json(scores))
      >>> read.stems, read.keys, read.values.tolist()
      (('1', '2'), ('sd',), [[30.0], [nan]])
    """
    images = content["images"]
    keys = tuple(next(iter(images.values())))
    values = [
        [math.nan if row[key] is None else row[key] for key in keys]
        for row in images.values()
    ]
    return Scores(tuple(images), keys, np.array(values, np.float64))


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_scores(folder: Path, methods: Mapping[str, Scores]) -> None:
    """Writes `metrics.json`, `metrics.csv` and, for several methods, `methods.json`.

    `metrics.json` holds the first method's scores. `methods.json` holds the scores of
    all methods by name, each in the form of `metrics.json`. The CSV has one line per
    method and pair, with an empty field where a metric is undefined.

    Args:
      folder: the folder to write to, created if missing.
      methods: scores by method, of the same pairs and metrics.
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
