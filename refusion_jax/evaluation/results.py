"""From folders to a folder of results: what the command and the binary share."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from refusion_jax import metrics
from refusion_jax.evaluation.candidates import Candidate
from refusion_jax.evaluation.comparison import RESAMPLES, difference
from refusion_jax.evaluation.published import published_rows
from refusion_jax.evaluation.report import Evaluation, write_evaluation_report
from refusion_jax.evaluation.scores import Scores, write_scores
from refusion_jax.evaluation.scoring import check_pictures, score
from refusion_jax.evaluation.table_formats import to_latex, to_markdown
from refusion_jax.evaluation.tables import Table, differences, summary
from refusion_jax.files.atomic import replace_file

REPORT_IMAGES = 4


def write_evaluation(
    out: str | os.PathLike[str],
    source_a: str | os.PathLike[str],
    source_b: str | os.PathLike[str],
    methods: Mapping[str, Candidate],
    keys: Sequence[str],
    *,
    task: str | None = None,
    dataset: str | None = None,
    reference: str | None = None,
    images: int = REPORT_IMAGES,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Table:
    """Scores methods and writes tables and a report.

    Writes `metrics.json` (the first method's), `metrics.csv`, `table.md`, `table.tex`,
    `report.html`, and `methods.json` where there are several methods.

    Args:
      out: folder to write to, made if it is missing.
      source_a, source_b: folders of sources.
      methods: by name, at least one.
      keys: metrics, in the order of the columns.
      task, dataset: which published rows to show, see `published.published_rows`.
      reference: the method that the others are compared with; None: the first.
      images: of how many pairs the report shows pictures.
      resamples, seed: of the bootstrap.

    Returns:
      The table of means.

    Raises:
      InputError: a ValueError that lists every picture that is missing, of another size
        or not readable.
      FileNotFoundError, ValueError: if a folder, the set or the reference is unknown.
    """
    reference = next(iter(methods)) if reference is None else reference
    if reference not in methods:
        raise ValueError(
            f"expected a reference among {', '.join(methods)}, got {reference!r}; "
            "choose one of these."
        )
    published = published_rows(task=task, dataset=dataset)
    out = Path(out)
    # Now, not after an hour of scoring: a folder that cannot be made is an error.
    out.mkdir(parents=True, exist_ok=True)
    pairs = check_pictures(source_a, source_b, methods, progress=True)
    scores = {
        name: score(pairs, method, keys, name=name, progress=True)
        for name, method in methods.items()
    }
    write_scores(out, scores)
    table = summary(scores, published)
    replace_file(out / "table.md", to_markdown(table).encode("utf-8", "replace"))
    replace_file(out / "table.tex", to_latex(table).encode("utf-8", "replace"))
    remarks = [
        "Every picture, source or fused, is scored by its 8-bit luminance (BT.601, "
        "halves rounded up); means are over the pairs for which a metric is defined.",
        *(f"{name}: {method.origin}." for name, method in methods.items()),
    ]
    if len(methods) > 1:
        remarks.append(f"Bootstrap: {resamples} resamples, seed {seed}.")
    evaluation = Evaluation(
        title=f"Fused pictures, evaluated: {', '.join(methods)}",
        pairs=pairs,
        methods=methods,
        scores=scores,
        reference=reference,
        summary=table,
        differences=_differences(scores, reference, resamples, seed),
        remarks=remarks,
    )
    write_evaluation_report(out / "report.html", evaluation, images=images)
    return table


def _differences(
    scores: Mapping[str, Scores], reference: str, resamples: int, seed: int
) -> Table | None:
    if len(scores) < 2:
        return None
    compared = {
        name: {
            key: difference(
                method.column(key),
                scores[reference].column(key),
                higher_is_better=metrics.METRICS[key].higher_is_better,
                resamples=resamples,
                seed=seed,
            )
            for key in method.keys
        }
        for name, method in scores.items()
        if name != reference
    }
    return differences(compared, reference)
