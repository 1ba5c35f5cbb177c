"""The page that shows an evaluation: tables, one chart per metric, pictures."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refusion_jax import metrics
from refusion_jax.data.pairs import Pair
from refusion_jax.evaluation.candidates import Candidate, read_luminances
from refusion_jax.evaluation.comparison import paired_bootstrap
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.table_formats import to_html
from refusion_jax.evaluation.tables import Table, decimals_of
from refusion_jax.extras import version_of
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.levels import average
from refusion_jax.reporting import charts
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.page import figure, preview_uri, write_gallery
from refusion_jax.reporting.ranking import rank

ROLES = ("source a", "source b")
DIFFERENCE_RANGE = 64  # grey levels at which a difference picture saturates


class Evaluation(NamedTuple):
    """The content of the page.

    Attributes:
      title: plain text.
      pairs: the sources.
      methods: for each method, the candidate that makes its pictures.
      scores: scores of each method, in the same order.
      reference: name of the method that the others are compared with.
      summaries: tables of means.
      differences: table of differences; None if there is only one method.
      remarks: paragraphs of plain text on how the scores were measured.
      roles: the first and the second source, in words.
    """

    title: str
    pairs: Sequence[Pair]
    methods: Mapping[str, Candidate]
    scores: Mapping[str, Scores]
    reference: str
    summaries: Sequence[Table]
    differences: Table | None
    remarks: Sequence[str]
    roles: tuple[str, str] = ROLES


def write_evaluation_report(path: Path, evaluation: Evaluation, *, images: int) -> None:
    """Writes the page, which needs no other file and no network.

    Args:
      path: the .html file.
      evaluation: the content to show.
      images: number of pairs whose pictures are shown: those by which the reference
        fares worst, see `worst_first`. The table names all pairs.
    """
    worst = worst_first(evaluation.scores[evaluation.reference])
    body = [
        f"<h1>{html.escape(evaluation.title)}</h1>",
        "<h2>Means</h2>",
        *map(to_html, evaluation.summaries),
    ]
    if evaluation.differences is not None:
        body += [
            f"<h2>Differences from {html.escape(evaluation.reference)}</h2>",
            to_html(evaluation.differences),
        ]
    body += ["<h2>Every pair</h2>", *_charts(evaluation.scores)]
    body += [f"<h2>Worst pairs of {html.escape(evaluation.reference)}</h2>"]
    body += [*_strips(evaluation, worst[:images])]
    body += ["<h2>Scores of every pair</h2>", *_table(evaluation.scores, worst)]
    body.append("<h2>How this was measured</h2>")
    body += [f"<p>{html.escape(text)}</p>" for text in evaluation.remarks]
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    body.append(f"<footer>Made by refusion-jax {version_of()}, {made}.</footer>")
    write_gallery(path, evaluation.title, body)


def worst_first(scores: Scores) -> list[int]:
    """Orders pairs by how a method fares, the worst first.

    Args:
      scores: of one method.

    Returns:
      Places of the pairs, by their mean rank over the metrics, each of which ranks the
      pairs. Pairs of equal rank keep their order.

    Examples:
      >>> values = np.array([[6.0, 0.1], [5.0, 0.3], [7.0, 0.2]])
      >>> worst_first(Scores(("1", "2", "3"), ("en", "nabf"), values))
      [1, 0, 2]
    """
    ranks = np.array(
        [
            rank(
                scores.column(key),
                higher_is_better=metrics.ALL_METRICS[key].higher_is_better,
            )
            for key in scores.keys
        ]
    )
    is_ranked = np.isfinite(ranks)
    means = np.where(is_ranked, ranks, 0).sum(0) / np.maximum(is_ranked.sum(0), 1)
    return [int(place) for place in np.argsort(-means, kind="stable")]


def difference_picture(luminance: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns the signed difference of two pictures as levels of `difference_palette`.

    Args:
      luminance, reference: uint8, (height, width).

    Returns:
      uint8: 128 where the two are equal; 1 and 255 where the first is darker and
      brighter, respectively, by at least DIFFERENCE_RANGE grey levels.

    Examples:
      >>> luminance = np.array([[100, 132, 200, 0]], np.uint8)
      >>> difference_picture(luminance, np.full((1, 4), 100, np.uint8)).tolist()
      [[128, 192, 255, 1]]
    """
    delta = luminance.astype(np.float64) - reference
    share = np.clip(delta / DIFFERENCE_RANGE, -1, 1)
    return np.rint(128 + 127 * share).astype(np.uint8)


def difference_palette() -> np.ndarray:
    """Returns the diverging map: blue (darker), near white (equal), brown (brighter).

    Returns:
      uint8, 256 x 3: the colours of `difference_picture`'s levels.
    """
    return color_map(0.5 + (np.arange(256) - 128) / 254)


def _charts(methods: Mapping[str, Scores]) -> list[str]:
    first = next(iter(methods.values()))
    legend = "".join(
        f'<span><svg viewBox="0 0 18 7"><circle cx="9" cy="3.5" r="3.5" '
        f'fill="{charts.color(i)}"/></svg> {html.escape(name)}</span>'
        for i, name in enumerate(methods)
    )
    figures = []
    for key in first.keys:
        record = metrics.ALL_METRICS[key]
        better = "higher" if record.higher_is_better else "lower"
        columns = {name: x.column(key) for name, x in methods.items()}
        intervals = {
            name: paired_bootstrap(x[np.isfinite(x)]) for name, x in columns.items()
        }
        drawn = charts.chart(first.stems, columns, intervals)
        figures.append(
            f"<figure><figcaption>{html.escape(record.title)} "
            f"<small>{better} is better</small></figcaption>{drawn}</figure>"
        )
    return [
        f'<p class="legend">{legend}</p>',
        '<p class="note">One dot per pair. Vertical line: the mean; horizontal line: '
        "its 95% interval by the bootstrap over pairs. Click a dot to find its pair "
        "below.</p>",
        f'<div class="charts">{"".join(figures)}</div>',
    ]


def _table(methods: Mapping[str, Scores], order: Sequence[int]) -> list[str]:
    """Returns the scores of every pair, in a table that sorts and filters."""
    first = next(iter(methods.values()))
    names = ["Pair", *(["Method"] if len(methods) > 1 else [])]
    titles = [*names, *(metrics.ALL_METRICS[key].title for key in first.keys)]
    heads = "".join(
        f'<th><button type="button">{html.escape(title)}</button></th>'
        for title in titles
    )
    every = np.concatenate([scores.values for scores in methods.values()])
    decimals = [decimals_of(column) for column in every.T]
    rows = []
    for place in order:
        stem = html.escape(first.stems[place])
        for name, scores in methods.items():
            text = html.escape(name)
            method = f'<td data-value="{text}">{text}</td>' if len(methods) > 1 else ""
            cells = "".join(map(_cell, scores.values[place].tolist(), decimals))
            rows.append(
                f'<tr data-pair="{stem}"><th data-value="{stem}">{stem}</th>'
                f"{method}{cells}</tr>"
            )
    return [
        '<p><label>Pairs named <input type="search"></label> '
        '<span class="note">Empty: all. Click a heading to sort.</span></p>',
        f'<div class="wide table"><table class="sortable"><thead><tr>{heads}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>",
    ]


def _cell(value: float, decimals: int) -> str:
    if not np.isfinite(value):
        return "<td>-</td>"
    return f'<td data-value="{value!r}">{value:.{decimals}f}</td>'


def _strips(evaluation: Evaluation, shown: Sequence[int]) -> list[str]:
    pairs = evaluation.pairs
    count = f"{len(pairs)} pair{'s' if len(pairs) != 1 else ''}"
    if not shown:
        return [f"<p>Shown: none of {count}.</p>"]
    ramp = ",".join(
        "rgb({} {} {})".format(*difference_palette()[level])
        for level in (1, 64, 128, 192, 255)
    )
    parts = [
        f"<p>Shown: {len(shown)} of {count}, the worst by the mean of the ranks that "
        "the metrics give them. Click a picture to compare it with the others in its "
        "row.</p>"
        f'<p class="note">Differences of luminance: &minus;{DIFFERENCE_RANGE}'
        f'<span class="scale" style="background:linear-gradient(90deg,{ramp})"></span>'
        f"+{DIFFERENCE_RANGE} grey levels, near white where equal.</p>"
    ]
    for index in shown:
        figures = "".join(_row(evaluation, pairs[index]))
        stem = html.escape(pairs[index].stem)
        scores = "".join(
            f'<p class="scores-of">{html.escape(f"{name}: {_told(x, index)}")}</p>'
            for name, x in evaluation.scores.items()
        )
        parts.append(
            f'<h3>{stem}</h3><div class="strip" data-title="{stem}" '
            f'data-stem="{stem}">{figures}</div>{scores}'
        )
    return parts


def _told(scores: Scores, index: int) -> str:
    return ", ".join(
        f"{metrics.ALL_METRICS[key].title} {column[index]:.{decimals_of(column)}f}"
        for key, column in zip(scores.keys, scores.values.T, strict=True)
    )


def _row(evaluation: Evaluation, pair: Pair) -> list[str]:
    """Returns a pair's figures: the sources, then each method and its difference."""
    figures = [
        figure(
            role[:1].upper() + role[1:],
            preview_uri(read_picture(path, levels=pair.levels)),
        )
        for role, path in zip(evaluation.roles, (pair.path_a, pair.path_b), strict=True)
    ]
    fused = {name: method(pair) for name, method in evaluation.methods.items()}
    reference = to_luminance(fused[evaluation.reference])
    mean = average(*read_luminances(pair))
    for name, picture in fused.items():
        figures.append(figure(name, preview_uri(picture)))
        if name == evaluation.reference:
            base, base_name = mean, "the average of the sources"
        else:
            base, base_name = reference, evaluation.reference
        levels = difference_picture(to_luminance(picture), base)
        uri = preview_uri(levels, difference_palette())
        figures.append(figure(f"{name} minus {base_name}", uri))
    return figures
