"""Variants with several seeds, trained on some pairs and scored on others.

A study is a folder with one run per variant and seed, study.json with what each has
measured and run on, the tables as table.md and table.tex, and the page report.html.
Runs that are complete and scores that were measured stay, so the same call resumes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from refusion_jax.evaluation.candidates import FromWeights
from refusion_jax.evaluation.scores import from_json, to_json
from refusion_jax.evaluation.scoring import check_pictures, columns, score
from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.evaluation.tables import Table
from refusion_jax.files.atomic import replace_file
from refusion_jax.files.checksums import sha256_of
from refusion_jax.methods.registry import DEFAULT
from refusion_jax.runs.run import Run, start
from refusion_jax.runs.side_by_side import side_by_side
from refusion_jax.runs.study_results import (
    Outcome,
    Planned,
    ScoredPairs,
    Scoring,
    write_results,
)
from refusion_jax.runs.variants import expand, read_fields, read_variant, typed
from refusion_jax.training.config import Config, preset, with_fields
from refusion_jax.training.trainer import NonFiniteError
from refusion_jax.weights.pretrained import RUN_WEIGHTS, find_pretrained

RECORD, SCORES = "study.json", "scores.json"  # the latter of a run


def scored_pairs(text: str) -> ScoredPairs:
    """Reads `NAME=A,B`.

    Args:
      text: a name and two folders.

    Raises:
      ValueError: for anything else.
    """
    name, _, folders = text.partition("=")
    source_a, _, source_b = folders.partition(",")
    if not (name and source_a and source_b):
        raise ValueError(
            f"expected a test set as NAME=A,B with two folders, got {text!r}; name it, "
            "as in mine=ir,vi."
        )
    return ScoredPairs(name, source_a, source_b)


def study_of_folders(
    variants: Sequence[str],
    workdir: Path,
    *,
    source_a: str,
    source_b: str,
    tests: Sequence[str],
    task: str | None = None,
    common: str = "",
    seeds: int,
    jobs: int = 1,
    tell: Callable[[str], None],
    show: Callable[[Table], str] = to_markdown,
) -> str:
    """Conducts a study as a command line describes it.

    Args:
      variants, workdir, seeds, jobs, tell, show: see `study`.
      source_a, source_b: folders of the training pairs.
      tests: `NAME=A,B` each.
      task: name of shipped weights: its card has settings and the range for such
        sources, and the columns are those of the task's table in the paper.
      common: `field=value,...` of all variants; these win over the task's.

    Returns:
      The tables for the reader.

    Raises:
      As `study` does.
    """
    settings = find_pretrained(task).settings if task else {}
    fields = read_fields(common)
    base = preset("default", fields.get("method", DEFAULT))
    given = typed(fields, base, common)
    return study(
        variants,
        workdir,
        common={**settings, **given, "source_a": source_a, "source_b": source_b},
        seeds=seeds,
        jobs=jobs,
        test_sets=[scored_pairs(text) for text in tests],
        keys=columns("paper", task),
        output_range=find_pretrained(task).output_range if task else None,
        tell=tell,
        show=show,
    )


def study(
    variants: Sequence[str],
    workdir: Path,
    *,
    common: Mapping[str, Any],
    seeds: int,
    test_sets: Sequence[ScoredPairs],
    keys: Sequence[str],
    output_range: str | None = None,
    jobs: int = 1,
    tell: Callable[[str], None],
    show: Callable[[Table], str] = to_markdown,
) -> str:
    """Trains and scores all variants; writes record, tables and page.

    Args:
      variants: see `variants.expand`; the first is what the others are compared
        with.
      workdir: folder of the study.
      common: fields of all variants, the folders of the training pairs among them.
      seeds: runs per variant, at least 1; they have the seeds 0, 1, ...
      test_sets: at least one, each of a name of its own.
      keys: metrics, in the order of the columns.
      output_range: of the fused pictures, see `pictures.ranges`.
      jobs: how many runs at once, each with its share of the cores.
      tell: is told which run begins (with several jobs: has ended), and which failed.
      show: formats a table for the reader; the files have their own formats.

    Returns:
      The tables for the reader.

    Raises:
      ImportError, ValueError: for a variant or pairs that cannot be read, before
        anything is trained.
      ChildProcessError: if the process of a run has died.
      Interrupted: as `trainer.train` does.
    """
    if not test_sets:
        raise ValueError(
            "expected a test set to score on, got none; name one as in mine=ir,vi."
        )
    if seeds < 1:
        raise ValueError(f"expected one seed or more, got {seeds}; raise it.")
    if jobs < 1:
        raise ValueError(f"expected one job or more, got {jobs}; raise it.")
    method = str(common.get("method", DEFAULT))
    configs = {x: read_variant(x, common) for x in expand(variants, method)}
    for pairs in test_sets:
        check_pictures(pairs.source_a, pairs.source_b, {})
    plan = [
        Planned(
            text,
            seed,
            with_fields(config, {"seed": seed}),
            workdir / f"{number}_{_file_name(text)}_{seed}",
        )
        for seed in range(seeds)
        for number, (text, config) in enumerate(configs.items())
    ]
    how = Scoring(test_sets, keys, output_range)
    workdir.mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, dict[int, Outcome]] = {text: {} for text in configs}
    for run, outcome in _outcomes(plan, how, jobs, tell):
        if "failed" in outcome.record:
            tell(outcome.record["failed"])
        outcomes[run.variant][run.seed] = outcome
        _write_record(workdir / RECORD, common, test_sets, outcomes)
    return write_results(workdir, plan, outcomes, how, show=show)


def failures(workdir: Path) -> int:
    """Returns how many runs of a study have failed.

    Args:
      workdir: folder of the study.
    """
    variants = json.loads((workdir / RECORD).read_text())["variants"]
    return sum("failed" in run for runs in variants.values() for run in runs)


def _outcomes(
    plan: Sequence[Planned],
    how: Scoring,
    jobs: int,
    tell: Callable[[str], None],
) -> Iterator[tuple[Planned, Outcome]]:
    """Yields what became of each run, in the order in which they end."""
    if jobs == 1:
        for run in plan:
            tell(f"{run.variant}, seed {run.seed}")
            yield run, _outcome(run.config, run.folder, how, progress=True)
        return
    calls = [(run.config, run.folder, how) for run in plan]
    for number, outcome in side_by_side(_outcome, calls, jobs):
        run = plan[number]
        tell(f"{run.variant}, seed {run.seed}: done")
        yield run, outcome


def _outcome(
    config: Config,
    folder: Path,
    how: Scoring,
    progress: bool = False,
) -> Outcome:
    """Trains and scores one run, as far as that was not done before."""
    try:
        run = start(config, folder, progress=progress)
    except NonFiniteError as error:
        return Outcome({}, {"failed": str(error)})
    weights = run.folder / RUN_WEIGHTS
    path = folder / SCORES
    known = json.loads(path.read_text()) if path.exists() else {}
    origin = {
        "weights": sha256_of(weights),
        "keys": list(how.keys),
        "output_range": how.output_range,
    }
    if known.get("of") != origin:
        known = {"of": origin}
    of_sets, scores = known.setdefault("sets", {}), {}
    for pairs in how.test_sets:
        sources = [str(pairs.source_a), str(pairs.source_b)]
        if of_sets.get(pairs.name, {}).get("sources") != sources:
            found = check_pictures(pairs.source_a, pairs.source_b, {})
            method = FromWeights(weights, output_range=how.output_range)
            measured = score(
                found, method, how.keys, name=pairs.name, progress=progress
            )
            of_sets[pairs.name] = {"sources": sources, **to_json(measured)}
            replace_file(path, (json.dumps(known, indent=1) + "\n").encode())
        scores[pairs.name] = from_json(of_sets[pairs.name])
    last = run.validations()[-1]
    record = {
        "learned": run.learned(),
        "means": {
            name: {key: of_set.mean(key) for key in of_set.keys}
            for name, of_set in scores.items()
        },
        "validation": last,
        "environment": run.environment(),
        "seconds": _seconds(run),
    }
    return Outcome(scores, record)


def _seconds(run: Run) -> float:
    """Returns the time from a run's first start to its last save, pauses included."""
    started = datetime.fromisoformat(run.environment()[0]["started"]).timestamp()
    return round((run.folder / RUN_WEIGHTS).stat().st_mtime - started, 1)


def _write_record(
    path: Path,
    common: Mapping[str, Any],
    test_sets: Sequence[ScoredPairs],
    outcomes: Mapping[str, Mapping[int, Outcome]],
) -> None:
    content = {
        "common": dict(common),
        "test_sets": [pairs._asdict() for pairs in test_sets],
        "variants": {
            text: [
                {"seed": seed, **outcome.record}
                for seed, outcome in sorted(found.items())
            ]
            for text, found in outcomes.items()
        },
    }
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


def _file_name(text: str) -> str:
    """Returns a variant as part of a file name."""
    return "".join(x if x.isalnum() or x in "=._-" else "_" for x in text)[:60]
