"""Writes the results of an evaluation; shared by the command and the binary."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from refusion_jax import metrics
from refusion_jax.evaluation.candidates import Candidate
from refusion_jax.evaluation.comparison import RESAMPLES, Difference, difference
from refusion_jax.evaluation.published import PublishedRow
from refusion_jax.evaluation.report import (
    ROLES,
    Evaluation,
    write_evaluation_report,
)
from refusion_jax.evaluation.scores import Scores, write_scores
from refusion_jax.evaluation.scoring import Spread, check_pictures, score
from refusion_jax.evaluation.table_formats import to_latex, to_markdown
from refusion_jax.evaluation.tables import Table, differences, intervals, summary
from refusion_jax.files.atomic import replace_file

REPORT_IMAGES = 4


@dataclass(frozen=True)
class ReportOptions:
    """How methods are compared, and what is shown beside their scores.

    Attributes:
      published: rows to show below the measured ones, see `published.published_rows`.
      reference: name of the method that the others are compared with; None for the
        first.
      images: number of pairs whose pictures the report shows.
      resamples, seed: settings of the bootstrap, see `comparison.paired_bootstrap`.
      ground_truth: folder of true pictures to compare with; None if there are none.
      levels, align: how sources are read, see `scoring.check_pictures`.
      roles: the first and the second source, in words.
      spread: what spreads the pairs over processes, see `scoring.score`.
    """

    published: Sequence[PublishedRow] = ()
    reference: str | None = None
    images: int = REPORT_IMAGES
    resamples: int = RESAMPLES
    seed: int = 0
    ground_truth: str | os.PathLike[str] | None = None
    levels: str = "full"
    align: str = "none"
    roles: tuple[str, str] = ROLES
    spread: Spread | None = None


DEFAULTS = ReportOptions()


def write_evaluation(
    out: str | os.PathLike[str],
    source_a: str | os.PathLike[str],
    source_b: str | os.PathLike[str],
    methods: Mapping[str, Candidate],
    keys: Sequence[str],
    options: ReportOptions = DEFAULTS,
) -> tuple[Table, ...]:
    """Scores methods and writes tables and a report.

    Writes `metrics.json` (the first method's scores), `metrics.csv`, `table.md`,
    `table.tex`, `report.html`, and, if there are several methods, `methods.json` and
    `differences.md`.

    Args:
      out: the folder to write to, created if missing.
      source_a, source_b: folders of sources.
      methods: candidates by name, at least one.
      keys: metrics, in the order of the columns.
      options: how to compare the methods, and what to show beside their scores.

    Returns:
      The table of means and, with a ground truth, that of means against it.

    Raises:
      InputError: a ValueError that lists every picture that is missing, unreadable or
        of another size.
      FileNotFoundError, ValueError: if a folder cannot be used or there is no such
        reference.
    """
    reference = next(iter(methods)) if options.reference is None else options.reference
    if reference not in methods:
        raise ValueError(
            f"expected a reference among {', '.join(methods)}, got {reference!r}; "
            "choose one of these."
        )
    out = Path(out)
    # Before an hour of scoring rather than after it, in case it cannot be created.
    out.mkdir(parents=True, exist_ok=True)
    pairs = check_pictures(
        source_a,
        source_b,
        methods,
        ground_truth=options.ground_truth,
        levels=options.levels,
        align=options.align,
        progress=True,
    )
    scores = {
        name: score(
            pairs,
            method,
            keys,
            name=name,
            progress=True,
            spread=options.spread,
        )
        for name, method in methods.items()
    }
    write_scores(out, scores)
    tables = summaries(scores, options.published)
    _write_text(out / "table.md", "\n".join(map(to_markdown, tables)))
    _write_text(out / "table.tex", "\n".join(map(to_latex, tables)))
    compared = compare(
        scores, reference, resamples=options.resamples, seed=options.seed
    )
    if compared:
        _write_text(out / "differences.md", to_markdown(intervals(compared, reference)))
    evaluation = Evaluation(
        title=f"Scores of {', '.join(methods)}",
        pairs=pairs,
        methods=methods,
        scores=scores,
        reference=reference,
        summaries=tables,
        differences=differences(compared, reference) if compared else None,
        remarks=_remarks(methods, options),
        roles=options.roles,
    )
    write_evaluation_report(out / "report.html", evaluation, images=options.images)
    return tables


def summaries(
    scores: Mapping[str, Scores], published: Sequence[PublishedRow] = ()
) -> tuple[Table, ...]:
    """Tabulates means: those of fusion metrics, and those against the true pictures.

    The two have ranks of their own: metrics of fusion may prefer what is not true.

    Args:
      scores: scores by method, of the same pairs and metrics.
      published: rows for comparison, see `tables.summary`.

    Returns:
      One table, or two if the scores hold `metrics.TRUTH_METRICS`.
    """
    keys = next(iter(scores.values())).keys
    tables = [
        summary({name: x.only(part) for name, x in scores.items()}, rows)
        for part, rows in (
            ([key for key in keys if key not in metrics.TRUTH_METRICS], published),
            ([key for key in keys if key in metrics.TRUTH_METRICS], ()),
        )
        if part
    ]
    return tuple(tables)


def compare(
    scores: Mapping[str, Scores],
    reference: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Difference]]:
    """Compares all methods with one of them.

    Args:
      scores: scores by method, of the same pairs and metrics.
      reference: one of the methods.
      resamples, seed: see `comparison.paired_bootstrap`.

    Returns:
      For each other method and each metric, the difference from the reference.
    """
    return {
        name: {
            key: difference(
                method.column(key),
                scores[reference].column(key),
                higher_is_better=metrics.ALL_METRICS[key].higher_is_better,
                resamples=resamples,
                seed=seed,
            )
            for key in method.keys
        }
        for name, method in scores.items()
        if name != reference
    }


def _remarks(methods: Mapping[str, Candidate], options: ReportOptions) -> list[str]:
    """Returns the paragraphs on how the scores were measured."""
    remarks = [
        "Every picture, source or fused, is scored by its 8-bit luminance (BT.601, "
        "halves rounded up); means are over the pairs for which a metric is defined.",
        *(f"{name}: {method.origin}." for name, method in methods.items()),
    ]
    if len(methods) > 1:
        remarks.append(
            f"Bootstrap: {options.resamples} resamples, seed {options.seed}."
        )
    return remarks


def _write_text(path: Path, text: str) -> None:
    replace_file(path, text.encode("utf-8", "replace"))
