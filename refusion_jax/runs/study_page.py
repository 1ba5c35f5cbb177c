"""The page of a study: tables, curves, fused pictures, loss maps."""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from refusion_jax.data.pairs import Pair
from refusion_jax.evaluation.candidates import Fused
from refusion_jax.evaluation.report import worst_first
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.table_formats import to_html
from refusion_jax.evaluation.tables import Table
from refusion_jax.pictures.codecs import read_picture
from refusion_jax.reporting.lines import legend, line_chart
from refusion_jax.reporting.page import figure, preview_uri, write_gallery
from refusion_jax.runs.run import Run

# Scalars of the validation after each epoch; those that no run has are left out.
CURVES = {
    "fused_rank": "Mean rank of the fused pictures among five, 1 is best",
    "fusion_loss": "L_f",
    "reconstruction_loss": "L_r",
    "intensity_weights_entropy": "Entropy of w, bits",
    "gradient_weights_entropy": "Entropy of v, bits",
    "intensity_weights_correlation": "Correlation of w_a with I_a - I_b",
    "gradient_weights_correlation": "Correlation of v_a with the gradients' difference",
    "total_loss": "L",
    "miou_fused": "Mean IoU on the fused picture",
}

# Fuses a pair with the weights of a run.
Fuse = Callable[[Run, Pair], Fused]


class Scored(NamedTuple):
    """What is shown of a test set.

    Attributes:
      name: of the set.
      tables: see `evaluation.variants.variant_tables`.
      pairs: all of its pairs.
      scores: of the variant that the others are compared with.
    """

    name: str
    tables: Sequence[Table]
    pairs: Sequence[Pair]
    scores: Scores


class Notes(NamedTuple):
    """What is said of a study at its end.

    Attributes:
      variants: those that have a name, with their settings.
      seeds: runs per variant.
      failures: a sentence for each run that failed.
    """

    variants: Sequence[str]
    seeds: int
    failures: Sequence[str]

    def summary(self) -> str:
        """Returns a sentence on the number of runs."""
        several = "s" if self.seeds > 1 else ""
        return f"{self.seeds} seed{several} per variant; failed: {len(self.failures)}."


def write_study_page(
    path: Path,
    runs: Mapping[str, Sequence[Run]],
    scored: Sequence[Scored],
    fuse: Fuse,
    notes: Notes,
) -> None:
    """Writes a page that needs no other file and no network.

    Args:
      path: the .html file.
      runs: complete runs by variant, at least one of each; the pictures are those of
        the first.
      scored: the test sets.
      fuse: fuses a pair with the weights of a run.
      notes: on the runs.
    """
    first = {name: of_variant[0] for name, of_variant in runs.items()}
    title = f"{len(runs)} variant{'s' if len(runs) > 1 else ''} of a training"
    body = [f"<h1>{title}</h1>"]
    for test_set in scored:
        body.append(f"<h2>{html.escape(test_set.name)}</h2>")
        body += map(to_html, test_set.tables)
        for pair, what in _chosen(test_set):
            body.append(f"<h3>{html.escape(f'{pair.stem}: {what}')}</h3>")
            body.append(_row(pair, first, fuse))
    body += ["<h2>Curves</h2>", *_curves(runs)]
    body += ["<h2>A held-out pair at the end of each run</h2>", *_panels(first)]
    body += ["<h2>Runs</h2>", f"<p>{html.escape(notes.summary())}</p>", "<ul>"]
    body += [f"<li>{html.escape(text)}</li>" for text in notes.failures]
    body += [f"<li><code>{html.escape(text)}</code></li>" for text in notes.variants]
    write_gallery(path, title, [*body, "</ul>"])


def _chosen(test_set: Scored) -> list[tuple[Pair, str]]:
    """Returns the pair by which the reference fares worst, and one in the middle."""
    pairs = {pair.stem: pair for pair in test_set.pairs}
    order = [pairs[test_set.scores.stems[x]] for x in worst_first(test_set.scores)]
    worst = (order[0], "the first variant fares worst here")
    middle = (order[len(order) // 2], "in the middle of this order")
    return [worst, middle] if len(order) > 1 else [worst]


def _row(pair: Pair, first: Mapping[str, Run], fuse: Fuse) -> str:
    sources = {"Source a": pair.path_a, "Source b": pair.path_b}
    pictures = {
        name: read_picture(path, levels=pair.levels) for name, path in sources.items()
    }
    pictures |= {name: fuse(run, pair) for name, run in first.items()}
    figures = "".join(
        figure(name, preview_uri(picture)) for name, picture in pictures.items()
    )
    stem = html.escape(pair.stem)
    return f'<div class="strip" data-title="{stem}">{figures}</div>'


def _curves(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    logs = {name: [run.validations() for run in x] for name, x in runs.items()}
    figures = []
    for key, title in CURVES.items():
        lines = {
            name: [[x.get(key, float("nan")) for x in log] for log in of_variant]
            for name, of_variant in logs.items()
        }
        if any(key in x for of in logs.values() for log in of for x in log):
            figures.append(
                f"<figure><figcaption>{html.escape(title)}</figcaption>"
                f"{line_chart(lines)}</figure>"
            )
    return [
        legend([*runs]),
        '<p class="note">On pairs that were withheld from training. A line is the mean '
        "over seeds, its band goes from the lowest to the highest.</p>",
        f'<div class="charts">{"".join(figures)}</div>',
    ]


def _panels(first: Mapping[str, Run]) -> list[str]:
    figures = [
        figure(name, preview_uri(read_picture(run.pictures()[-1])))
        for name, run in first.items()
        if run.pictures()
    ]
    return [f'<div class="pictures" data-title="Held out">{"".join(figures)}</div>']
