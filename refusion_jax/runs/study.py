"""Variants with several seeds, trained on some pairs and scored on others.

A study is a folder with one run per variant and seed. Runs that are complete and scores
that were measured stay, so the same call resumes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refusion_jax.evaluation.candidates import FromWeights
from refusion_jax.evaluation.scores import Scores, from_json, to_json
from refusion_jax.evaluation.scoring import check_pictures, columns, score
from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.evaluation.variants import variant_tables
from refusion_jax.files.atomic import replace_file
from refusion_jax.files.checksums import sha256_of
from refusion_jax.methods.registry import DEFAULT
from refusion_jax.runs.run import start
from refusion_jax.runs.variants import expand, read_fields, read_variant, typed
from refusion_jax.training.config import Config, preset, with_fields
from refusion_jax.training.trainer import NonFiniteError
from refusion_jax.weights.pretrained import (
    RUN_WEIGHTS,
    find_pretrained,
    suitable_range,
)

RECORD, TABLE, SCORES = "study.json", "table.md", "scores.json"


class ScoredPairs(NamedTuple):
    """Pairs to score on, by no means those trained on.

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
    tell: Callable[[str], None],
) -> str:
    """Conducts a study as a command line describes it.

    Args:
      variants, workdir, seeds, tell: see `study`.
      source_a, source_b: folders of the training pairs.
      tests: `NAME=A,B` each.
      task: name of shipped weights: its card has settings and the range for such
        sources, and the columns are those of the task's table in the paper.
      common: `field=value,...` of all variants; these win over the task's.

    Returns:
      The tables, in Markdown.

    Raises:
      As `study` does.
    """
    settings = find_pretrained(task).settings if task else {}
    given = typed(read_fields(common), preset("default"), common)
    return study(
        variants,
        workdir,
        common={**settings, **given, "source_a": source_a, "source_b": source_b},
        seeds=seeds,
        test_sets=[scored_pairs(text) for text in tests],
        keys=columns("paper", task),
        output_range=suitable_range(task) if task else None,
        tell=tell,
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
    tell: Callable[[str], None],
) -> str:
    """Trains and scores all variants; writes study.json and table.md.

    Args:
      variants: see `variants.expand`; the first is what the others are compared
        with.
      workdir: folder of the study.
      common: fields of all variants, the folders of the training pairs among them.
      seeds: runs per variant, at least 1; they have the seeds 0, 1, ...
      test_sets: at least one, each of a name of its own.
      keys: metrics, in the order of the columns.
      output_range: of the fused pictures, see `pictures.ranges`.
      tell: is told which run begins, and which failed.

    Returns:
      The tables, in Markdown.

    Raises:
      ImportError, ValueError: for a variant or pairs that cannot be read, before
        anything is trained.
      Interrupted: as `trainer.train` does.
    """
    if not test_sets:
        raise ValueError(
            "expected a test set to score on, got none; name one as in mine=ir,vi."
        )
    if seeds < 1:
        raise ValueError(f"expected one seed or more, got {seeds}; raise it.")
    method = str(common.get("method", DEFAULT))
    configs = {x: read_variant(x, common) for x in expand(variants, method)}
    for pairs in test_sets:
        check_pictures(pairs.source_a, pairs.source_b, {})
    outcomes: dict[str, list[Outcome]] = {text: [] for text in configs}
    for seed in range(seeds):
        for number, (text, config) in enumerate(configs.items()):
            tell(f"{text}, seed {seed}")
            outcome = _outcome(
                with_fields(config, {"seed": seed}),
                workdir / f"{number}_{_file_name(text)}_{seed}",
                test_sets,
                keys,
                output_range,
            )
            if "failed" in outcome.record:
                tell(outcome.record["failed"])
            outcomes[text].append(outcome)
            _write_record(workdir / RECORD, common, test_sets, outcomes)
    text = "\n".join(_tables(outcomes, test_sets, seeds))
    replace_file(workdir / TABLE, text.encode())
    return text


def _outcome(
    config: Config,
    folder: Path,
    test_sets: Sequence[ScoredPairs],
    keys: Sequence[str],
    output_range: str | None,
) -> Outcome:
    """Trains and scores one run, as far as that was not done before."""
    try:
        run = start(config, folder)
    except NonFiniteError as error:
        return Outcome({}, {"failed": str(error)})
    weights = run.folder / RUN_WEIGHTS
    path = folder / SCORES
    known = json.loads(path.read_text()) if path.exists() else {}
    origin = {
        "weights": sha256_of(weights),
        "keys": list(keys),
        "output_range": output_range,
    }
    if known.get("of") != origin:
        known = {"of": origin}
    scores = {}
    for pairs in test_sets:
        if pairs.name not in known:
            found = check_pictures(pairs.source_a, pairs.source_b, {})
            method = FromWeights(weights, output_range=output_range)
            measured = score(found, method, keys, name=pairs.name, progress=True)
            known[pairs.name] = to_json(measured)
            replace_file(path, (json.dumps(known, indent=1) + "\n").encode())
        scores[pairs.name] = from_json(known[pairs.name])
    last = [x for x in run.scalars() if x["stage"] == "validation"][-1]
    record = {
        "learned": run.learned(),
        "validation": last,
        "environment": run.environment(),
    }
    return Outcome(scores, record)


def _tables(
    outcomes: Mapping[str, Sequence[Outcome]],
    test_sets: Sequence[ScoredPairs],
    seeds: int,
) -> list[str]:
    """Returns headings, tables, and what failed."""
    parts = []
    for pairs in test_sets:
        runs = {
            text: {
                seed: x.scores[pairs.name] for seed, x in enumerate(found) if x.scores
            }
            for text, found in outcomes.items()
        }
        runs = {name: by_seed for name, by_seed in runs.items() if by_seed}
        parts.append(f"## {pairs.name}\n")
        reference = next(iter(outcomes))
        if reference not in runs:
            parts.append("The reference has no run that did not fail.\n")
            continue
        tables = variant_tables(runs, reference)
        parts += [to_markdown(table) for table in tables if table.rows]
    failures = [
        f"- `{text}`, seed {seed}: {outcome.record['failed']}\n"
        for text, found in outcomes.items()
        for seed, outcome in enumerate(found)
        if "failed" in outcome.record
    ]
    parts.append(f"{seeds} seeds per variant; failed: {len(failures)}.\n")
    return parts + failures


def _write_record(
    path: Path,
    common: Mapping[str, Any],
    test_sets: Sequence[ScoredPairs],
    outcomes: Mapping[str, Sequence[Outcome]],
) -> None:
    content = {
        "common": dict(common),
        "test_sets": [pairs._asdict() for pairs in test_sets],
        "variants": {
            text: [
                {"seed": seed, **outcome.record} for seed, outcome in enumerate(found)
            ]
            for text, found in outcomes.items()
        },
    }
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


def _file_name(text: str) -> str:
    """Returns a variant as part of a file name."""
    return "".join(x if x.isalnum() or x in "=._-" else "_" for x in text)[:60]
