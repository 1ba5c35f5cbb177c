"""Tables of means and of differences, as plain text with marked cells."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from refusion_jax import metrics
from refusion_jax.evaluation.comparison import Difference, Interval, marks
from refusion_jax.evaluation.published import PublishedRow
from refusion_jax.evaluation.scores import Scores
from refusion_jax.reporting.ranking import rank

UNDEFINED = "-"


class Cell(NamedTuple):
    """A cell: its plain text, and the mark "best", "second" or ""."""

    text: str
    mark: str = ""


class Row(NamedTuple):
    """A row: its name, its cells, and their source if they were not measured here."""

    name: str
    cells: tuple[Cell, ...]
    source: str = ""


class Table(NamedTuple):
    """A table of plain text; the formats of `evaluation.table_formats` escape it.

    Attributes:
      titles: titles of the columns; the first is that of the names.
      directions: directions of the columns after the first: 1 if higher is better, -1
        if lower is better, 0 if neither.
      rows: the rows, in order.
      notes: sentences to print below the table.
    """

    titles: tuple[str, ...]
    directions: tuple[int, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def summary(
    methods: Mapping[str, Scores], published: Sequence[PublishedRow] = ()
) -> Table:
    """Tabulates the mean of each metric for each method, and the methods' mean ranks.

    Marks and ranks compare the means as printed, and only those of measured methods.

    Args:
      methods: scores by method, of the same pairs and metrics.
      published: rows for comparison; values of other metrics are left out.

    Returns:
      One row per method, then the published rows. A mean over only some of the pairs
      says so: "0.512 (12 of 13)".

    Examples:
      >>> ours = Scores(("1", "2"), ("en",), np.array([[6.0], [7.0]]))
      >>> theirs = Scores(("1", "2"), ("en",), np.array([[5.0], [math.nan]]))
      >>> for row in summary({"ours": ours, "theirs": theirs}).rows:
      ...     print(row.name, *[cell.text for cell in row.cells], sep=" | ")
      ours | 6.500 | 1.00
      theirs | 5.000 (1 of 2) | 2.00
    """
    first = next(iter(methods.values()))
    records = [metrics.ALL_METRICS[key] for key in first.keys]
    means = np.array([[x.mean(key) for key in x.keys] for x in methods.values()])
    decimals = [decimals_of(column) for column in means.T]
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
    """Tabulates how methods differ from a reference method, and how certain that is.

    Args:
      compared: for each method and each metric, the difference from the reference.
      reference: name of the reference method.

    Returns:
      One row per method and metric.
    """
    rows = []
    for name, by_key in compared.items():
        for key, x in by_key.items():
            digits = decimals_of([x.mean, *x.interval])
            interval = " to ".join(_signed(end, digits) for end in x.interval)
            cells = (
                metrics.ALL_METRICS[key].title,
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
            "Interval: percentile bootstrap over pairs; with fewer than about twenty "
            "pairs it is too narrow. p: exact two-sided sign test, not corrected for "
            "the number of rows: of 20 true equalities, one on average is below 0.05.",
        ),
    )


def intervals(
    compared: Mapping[str, Mapping[str, Difference]], reference: str
) -> Table:
    """Tabulates the differences from a reference method, one row per method.

    Args:
      compared: for each method and each metric, the difference from the reference.
      reference: name of the reference method.

    Returns:
      One column per metric, "+0.120 (+0.050 to +0.190)": the mean difference and its
      95% interval. The last column counts the metrics by which the method is better,
      worse, and neither, where the interval holds 0. Without a method to compare there
      is neither row nor metric.
    """
    keys = tuple(next(iter(compared.values()), {}))
    rows = []
    for name, by_key in compared.items():
        cells = []
        for x in by_key.values():
            digits = decimals_of([x.mean, *x.interval])
            ends = " to ".join(_signed(end, digits) for end in x.interval)
            cells.append(Cell(f"{_signed(x.mean, digits)} ({ends})"))
        signs = [_sign(by_key[key].interval, key) for key in keys]
        counts = " : ".join(str(signs.count(sign)) for sign in (1, -1, 0))
        rows.append(Row(name, (*cells, Cell(counts))))
    records = [metrics.ALL_METRICS[key] for key in keys]
    return Table(
        (
            f"Method minus {reference}",
            *(record.title for record in records),
            "Better : worse : open",
        ),
        (*(1 if record.higher_is_better else -1 for record in records), 0),
        tuple(rows),
        (
            "Mean difference and its 95% interval by the paired bootstrap over pairs, "
            "not corrected for the number of cells. Open: the interval holds 0.",
        ),
    )


def _sign(interval: Interval, key: str) -> int:
    """Returns 1 if an interval says better, -1 if worse, 0 if it holds 0 or is NaN."""
    above, below = interval.low > 0, interval.high < 0
    better, worse = (
        (above, below) if metrics.ALL_METRICS[key].higher_is_better else (below, above)
    )
    return int(better) - int(worse)


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


def decimals_of(values: Sequence[float] | np.ndarray) -> int:
    """Returns as many decimals as show about four digits of the largest value.

    Args:
      values: of one column, some of them perhaps not finite.
    """
    largest = max((abs(x) for x in values if math.isfinite(x)), default=0.0)
    return 2 if largest >= 10 else 3 if largest >= 1 else 4


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else UNDEFINED


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}" if math.isfinite(value) else UNDEFINED
