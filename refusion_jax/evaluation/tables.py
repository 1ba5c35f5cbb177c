"""Tables of means with the best and second best marked, as plain text in cells."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from refusion_jax import metrics
from refusion_jax.evaluation.comparison import Difference, marks, rank
from refusion_jax.evaluation.published import PublishedRow
from refusion_jax.evaluation.scores import Scores

UNDEFINED = "-"


class Cell(NamedTuple):
    """A cell's plain text, and "best", "second" or ""."""

    text: str
    mark: str = ""


class Row(NamedTuple):
    """A row: its name, its cells, and where they are from if not measured here."""

    name: str
    cells: tuple[Cell, ...]
    source: str = ""


class Table(NamedTuple):
    """A table of plain text; the formats of `evaluation.table_formats` escape it.

    Attributes:
      titles: of the columns, the first above the names.
      directions: of the columns after the first: 1 higher is better, -1 lower, 0 none.
      rows: in order.
      notes: sentences that belong under the table.
    """

    titles: tuple[str, ...]
    directions: tuple[int, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def summary(
    methods: Mapping[str, Scores], published: Sequence[PublishedRow] = ()
) -> Table:
    """Mean of each metric for each method, and the methods' mean ranks.

    Marks and ranks compare the means as printed, and measured methods only.

    Args:
      methods: scores by name, of the same pairs and metrics.
      published: rows for comparison; values of other metrics are left out.

    Returns:
      One row a method, then the published rows. A mean over some of the pairs only
      says so: "0.512 (12 of 13)".
    """
    first = next(iter(methods.values()))
    records = [metrics.METRICS[key] for key in first.keys]
    means = np.array([[x.mean(key) for key in x.keys] for x in methods.values()])
    decimals = [_decimals(column) for column in means.T]
    rounded = np.array(
        [np.round(x, d) for x, d in zip(means.T, decimals, strict=True)]
    ).T
    column_marks = [
        marks(column, higher_is_better=record.higher_is_better)
        for column, record in zip(rounded.T, records, strict=True)
    ]
    rows = [
        Row(
            name,
            tuple(
                Cell(_mean_text(scores, key, decimals[j]), column_marks[j][i])
                for j, key in enumerate(scores.keys)
            ),
        )
        for i, (name, scores) in enumerate(methods.items())
    ]
    titles = ["Method", *(record.title for record in records)]
    directions = [1 if record.higher_is_better else -1 for record in records]
    notes = [f"Means over {len(first.stems)} pairs."]
    if len(methods) > 1:
        ranks = [
            rank(column, higher_is_better=record.higher_is_better)
            for column, record in zip(rounded.T, records, strict=True)
        ]
        mean_ranks = np.round([_mean(row) for row in np.transpose(ranks)], 2)
        rank_marks = marks(mean_ranks, higher_is_better=False)
        rows = [
            row._replace(cells=(*row.cells, Cell(_number(value, 2), mark)))
            for row, value, mark in zip(rows, mean_ranks, rank_marks, strict=True)
        ]
        titles.append("Mean rank")
        directions.append(-1)
        notes.append(
            "The best and the second best of each column are marked. Mean rank: over "
            "the columns, 1 is the best."
        )
    shown = [row for row in published if set(row.values) & set(first.keys)]
    if shown:
        notes.append(
            "Published rows are from the paper and were not measured here: other "
            "pictures, perhaps other metric code. They are neither marked nor ranked."
        )
    for row in shown:
        texts = [_number(row.values.get(key, math.nan), 2) for key in first.keys]
        texts += [UNDEFINED] * (len(titles) - 1 - len(texts))
        rows.append(Row(row.name, tuple(map(Cell, texts)), row.source))
    return Table(tuple(titles), tuple(directions), tuple(rows), tuple(notes))


def differences(
    compared: Mapping[str, Mapping[str, Difference]], reference: str
) -> Table:
    """How methods differ from a reference method, with how sure that is.

    Args:
      compared: method to metric to its difference from the reference.
      reference: name of that method.

    Returns:
      One row a method and metric.
    """
    rows = []
    for name, by_key in compared.items():
        for key, x in by_key.items():
            digits = _decimals([x.mean, *x.interval])
            interval = " to ".join(_signed(end, digits) for end in x.interval)
            cells = (
                metrics.METRICS[key].title,
                _signed(x.mean, digits),
                UNDEFINED if math.isnan(x.interval.low) else interval,
                f"{x.wins} : {x.losses}" + (f" ({x.ties} equal)" if x.ties else ""),
                f"{x.p_value:.2g}",
            )
            rows.append(Row(name, tuple(map(Cell, cells))))
    return Table(
        (
            f"Method minus {reference}",
            "Metric",
            "Mean difference",
            "95% interval",
            "Pairs better : worse",
            "Sign test, p",
        ),
        (0,) * 5,
        tuple(rows),
        (
            "Interval: percentile bootstrap over pairs; with fewer than some twenty "
            "pairs it is too narrow. p: exact two-sided sign test, not corrected for "
            "the number of rows: of 20 true equalities one falls below 0.05.",
        ),
    )


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _mean_text(scores: Scores, key: str, decimals: int) -> str:
    text = _number(scores.mean(key), decimals)
    defined = scores.defined(key)
    return (
        text
        if defined == len(scores.stems)
        else f"{text} ({defined} of {len(scores.stems)})"
    )


def _decimals(values: Sequence[float] | np.ndarray) -> int:
    """So many that about four digits of the largest value show."""
    largest = max((abs(x) for x in values if math.isfinite(x)), default=0.0)
    return 2 if largest >= 10 else 3 if largest >= 1 else 4


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else UNDEFINED


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}" if math.isfinite(value) else UNDEFINED
