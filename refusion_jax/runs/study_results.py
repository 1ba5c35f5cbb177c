"""What a study leaves besides its runs: tables and a page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from refusion_jax.data.pairs import Pair
from refusion_jax.evaluation.candidates import FromWeights, Fused
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.scoring import check_pictures
from refusion_jax.evaluation.table_formats import to_latex, to_markdown
from refusion_jax.evaluation.tables import Table
from refusion_jax.evaluation.variants import variant_tables
from refusion_jax.files.atomic import replace_file
from refusion_jax.runs.run import Run
from refusion_jax.runs.study_page import Notes, Scored, write_study_page
from refusion_jax.runs.variants import names_of
from refusion_jax.training.config import Config
from refusion_jax.weights.pretrained import RUN_WEIGHTS

TABLE, LATEX, PAGE = "table.md", "table.tex", "report.html"


class ScoredPairs(NamedTuple):
    """Pairs to score on, which must not be training pairs.

    Attributes:
      name: for the tables.
      source_a, source_b: folders.
    """

    name: str
    source_a: str
    source_b: str


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
      scores: by name of the test set; empty if the run failed.
      record: JSON values for the study's record.
    """

    scores: Mapping[str, Scores]
    record: dict[str, Any]


class Scoring(NamedTuple):
    """How the runs of a study are scored; see `study`."""

    test_sets: Sequence[ScoredPairs]
    keys: Sequence[str]
    output_range: str | None


class Planned(NamedTuple):
    """A run that a study needs.

    Attributes:
      variant: as it was given.
      seed: of the run.
      config: all settings.
      folder: of the run.
    """

    variant: str
    seed: int
    config: Config
    folder: Path


# What became of each run, by variant and seed.
Outcomes = Mapping[str, Mapping[int, Outcome]]


def write_results(
    workdir: Path,
    plan: Sequence[Planned],
    outcomes: Outcomes,
    how: Scoring,
    *,
    show: Callable[[Table], str] = to_markdown,
) -> str:
    """Writes table.md, table.tex and report.html.

    Args:
      workdir: folder of the study.
      plan: all runs, those of the reference first among those of a seed.
      outcomes: of all runs.
      how: they were scored.
      show: formats a table for the reader.

    Returns:
      The tables for the reader.
    """
    names = names_of([*outcomes])
    named = {names[text]: found for text, found in outcomes.items()}
    reference = names[plan[0].variant]
    tables = {x.name: _tables(named, x.name, reference) for x in how.test_sets}
    notes = Notes(
        [text for text, name in names.items() if name != text],
        max(map(len, named.values())),
        _failures(named),
    )
    text = "\n".join([*_headed(tables, to_markdown), *_in_markdown(notes)])
    replace_file(workdir / TABLE, text.encode())
    latex = "\n".join(to_latex(x) for of_set in tables.values() for x in of_set)
    replace_file(workdir / LATEX, latex.encode())
    if any(x.scores for x in named[reference].values()):
        runs: dict[str, list[Run]] = {}
        for run in plan:
            if outcomes[run.variant][run.seed].scores:
                runs.setdefault(names[run.variant], []).append(Run(run.folder))
        scored = _scored(named[reference], how, tables)
        fuse = partial(_fuse, output_range=how.output_range)
        write_study_page(workdir / PAGE, runs, scored, fuse, notes)
    return "\n".join([*_headed(tables, show), *_in_markdown(notes)])


def _tables(named: Outcomes, test_set: str, reference: str) -> tuple[Table, ...]:
    """Returns the tables of a test set; none if all runs of the reference failed."""
    runs = {
        name: {seed: x.scores[test_set] for seed, x in found.items() if x.scores}
        for name, found in named.items()
    }
    runs = {name: by_seed for name, by_seed in runs.items() if by_seed}
    if reference not in runs:
        return ()
    return tuple(x for x in variant_tables(runs, reference) if x.rows)


def _headed(
    tables: Mapping[str, Sequence[Table]], show: Callable[[Table], str]
) -> Iterator[str]:
    """Yields the tables of all test sets, each set under its name."""
    for name, of_set in tables.items():
        yield f"## {name}\n"
        if not of_set:
            yield "Every run of the reference failed.\n"
        yield from map(show, of_set)


def _failures(named: Outcomes) -> list[str]:
    """Returns a sentence for each run that failed."""
    return [
        f"{name}, seed {seed}: {outcome.record['failed']}"
        for name, found in named.items()
        for seed, outcome in sorted(found.items())
        if "failed" in outcome.record
    ]


def _in_markdown(notes: Notes) -> Iterator[str]:
    """Yields how many runs there were, which failed, and what names stand for."""
    yield f"{notes.summary()}\n"
    yield from (f"- {failure}\n" for failure in notes.failures)
    yield from (f"- `{variant}`\n" for variant in notes.variants)


def _scored(
    reference: Mapping[int, Outcome],
    how: Scoring,
    tables: Mapping[str, Sequence[Table]],
) -> list[Scored]:
    """Returns what the page shows of each test set."""
    scores = next(x.scores for _, x in sorted(reference.items()) if x.scores)
    return [
        Scored(
            x.name,
            tables[x.name],
            check_pictures(x.source_a, x.source_b, {}),
            scores[x.name],
        )
        for x in how.test_sets
    ]


def _fuse(run: Run, pair: Pair, *, output_range: str | None) -> Fused:
    return FromWeights(run.folder / RUN_WEIGHTS, output_range=output_range)(pair)
