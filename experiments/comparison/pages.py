"""The pages of the comparison: one per test set, and an overview."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.comparison import TEST_SETS, TestSet

from comparison.records import Record
from refusion_jax import metrics
from refusion_jax.evaluation.published import published_rows
from refusion_jax.evaluation.results import compare
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.scoring import columns
from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.evaluation.tables import (
    UNDEFINED,
    Cell,
    Row,
    Table,
    intervals,
    summary,
)
from refusion_jax.files.atomic import replace_file

OURS = "ours"
COMMAND = """```sh
python experiments/compare.py --data=DATA --official=DIR --task={}
```
"""


def write_pages(out: Path, records: Mapping[str, Record]) -> None:
    """Writes a page per test set, and `README.md`, which sums them up.

    Args:
      out: an existing folder.
      records: by the names of their sets; all have a method `ours` and another.
    """
    by_set = {name: _by_task(name, record) for name, record in records.items()}
    for name, record in records.items():
        page = _page(TEST_SETS[name], record, by_set[name])
        replace_file(out / f"{name}.md", page.encode())
    replace_file(out / "README.md", _overview(by_set).encode())


def mean_ranks(name: str, record: Record) -> dict[str, float]:
    """Returns the mean rank of each method over the columns of the set's table.

    Args:
      name: of the set.
      record: of the set, with two methods or more.
    """
    rows = summary(_by_task(name, record)).rows
    return {row.name: float(row.cells[-1].text) for row in rows}


def _by_task(name: str, record: Record) -> dict[str, Scores]:
    """Returns the scores of the methods that have the columns of the paper."""
    keys = columns("paper", TEST_SETS[name].task)
    return {
        method: measured.scores.only(keys)
        for method, measured in record.methods.items()
        if set(keys) <= set(measured.scores.keys)
    }


def _page(test_set: TestSet, record: Record, scores: Mapping[str, Scores]) -> str:
    pairs = len(scores[OURS].stems)
    sources = " and ".join(test_set.sources)
    published = (
        published_rows(task=None, dataset=test_set.published)
        if test_set.published
        else ()
    )
    parts = [
        f"# {test_set.title}: {sources}, {pairs} pairs\n",
        COMMAND.format(test_set.task),
        to_markdown(summary(scores, published)),
        "## Differences\n",
        to_markdown(intervals(compare(scores, OURS), OURS)),
    ]
    truth = {
        method: measured.scores.only(tuple(metrics.TRUTH_METRICS))
        for method, measured in record.methods.items()
        if set(metrics.TRUTH_METRICS) <= set(measured.scores.keys)
    }
    if truth:
        parts += [
            "## Against the true pictures\n",
            to_markdown(summary(truth)),
            to_markdown(intervals(compare(truth, OURS), OURS)),
        ]
    parts += [
        "## Methods\n",
        "".join(f"- {name}: {x.origin}\n" for name, x in record.methods.items()),
    ]
    return "\n".join(parts)


def _overview(by_set: Mapping[str, Mapping[str, Scores]]) -> str:
    """Returns the page of mean ranks and of decided columns, set by set."""
    methods = tuple(dict.fromkeys(name for x in by_set.values() for name in x))
    ranks = [_last_cells(summary(scores)) for scores in by_set.values()]
    decided = [
        _last_cells(intervals(compare(scores, OURS), OURS))
        for scores in by_set.values()
    ]
    titles = [
        f"{TEST_SETS[name].title} ({len(scores[OURS].stems)})"
        for name, scores in by_set.items()
    ]
    rank_table = _grid(
        "Mean rank (pairs)",
        methods,
        titles,
        ranks,
        -1,
        "Mean rank over the columns of the task's table in the paper; 1 is the best. "
        "Sets differ in their methods, so ranks compare within a column only.",
    )
    decided_table = _grid(
        f"Columns against {OURS}",
        [name for name in methods if name != OURS],
        titles,
        decided,
        0,
        "Better : worse : open, counted over the columns of the set's table: by the "
        f"95% interval of the paired bootstrap, how often the method beats {OURS}, is "
        "beaten, or neither.",
    )
    pages = ", ".join(f"[{TEST_SETS[x].title}]({x}.md)" for x in by_set)
    return "\n".join(
        [
            "# Comparison with other methods\n",
            "Shipped weights (ours), the authors' released weights where they exist, "
            "and methods without weights, on test sets. No setting was chosen by their "
            "scores; three pairs of MEFB were looked at when the recipe of the "
            "exposure weights was chosen "
            "([recipes](../recipes/README.md#one-picture-twice)). Some sets are parts "
            "of the paper's (MSRS 13 pairs of 361, RoadScene 25 of 50), so do not set "
            "these means beside published ones.\n",
            COMMAND.format("all"),
            f"Set by set: {pages}.\n",
            to_markdown(rank_table),
            to_markdown(decided_table),
        ]
    )


def _last_cells(table: Table) -> dict[str, Cell]:
    return {row.name: row.cells[-1] for row in table.rows}


def _grid(
    title: str,
    methods: Sequence[str],
    titles: Sequence[str],
    cells: Sequence[Mapping[str, Cell]],
    direction: int,
    note: str,
) -> Table:
    rows = tuple(
        Row(name, tuple(column.get(name, Cell(UNDEFINED)) for column in cells))
        for name in methods
    )
    return Table((title, *titles), (direction,) * len(titles), rows, (note,))
