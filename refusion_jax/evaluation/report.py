"""The page that shows an evaluation: tables, one chart per metric, pictures."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refusion_jax import metrics
from refusion_jax.data.pairs import Pair
from refusion_jax.evaluation.candidates import Candidate, read_luminances
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.table_formats import to_html
from refusion_jax.evaluation.tables import Table
from refusion_jax.extras import version_of
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.levels import average
from refusion_jax.reporting import charts
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.page import asset, data_uri, write_page

DIFFERENCE_RANGE = 64  # grey levels at which a difference picture saturates

# The viewer that `viewer.js` opens over the page.
DIALOG = """<dialog><nav><output></output>
<button name="previous" aria-label="previous picture">&lsaquo;</button>
<button name="next" aria-label="next picture">&rsaquo;</button>
<button name="out" aria-label="smaller">&minus;</button>
<button name="in" aria-label="larger">+</button>
<button name="close" aria-label="close">&times;</button></nav>
<div><img alt=""></div></dialog>"""


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
    """

    title: str
    pairs: Sequence[Pair]
    methods: Mapping[str, Candidate]
    scores: Mapping[str, Scores]
    reference: str
    summaries: Sequence[Table]
    differences: Table | None
    remarks: Sequence[str]


def write_evaluation_report(path: Path, evaluation: Evaluation, *, images: int) -> None:
    """Writes the page, which needs no other file and no network.

    Args:
      path: the .html file.
      evaluation: the content to show.
      images: number of pairs whose pictures are shown; they are spread evenly over the
        pairs in order of their names, and the page lists the remaining ones.
    """
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
    body += ["<h2>Pictures</h2>", *_strips(evaluation, images)]
    body.append("<h2>How this was measured</h2>")
    remarks = [*evaluation.remarks, f"Made by refusion-jax {version_of()}."]
    body += [f"<p>{html.escape(text)}</p>" for text in remarks]
    write_page(
        path,
        evaluation.title,
        [*body, DIALOG],
        style=asset("viewer.css"),
        script=asset("viewer.js").strip(),
    )


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
        f'<span><svg viewBox="0 0 18 7"><line x1="0" x2="18" y1="3.5" y2="3.5" '
        f'stroke="{charts.color(i)}" stroke-width="3" '
        f'stroke-dasharray="{charts.dash(i)}"/></svg> {html.escape(name)}</span>'
        for i, name in enumerate(methods)
    )
    figures = []
    for key in first.keys:
        record = metrics.ALL_METRICS[key]
        better = "higher" if record.higher_is_better else "lower"
        drawn = charts.chart(
            first.stems, {name: x.column(key) for name, x in methods.items()}
        )
        figures.append(
            f"<figure><figcaption>{html.escape(record.title)} "
            f"<small>{better} is better</small></figcaption>{drawn}</figure>"
        )
    return [
        f'<p class="legend">{legend}</p>',
        f'<div class="charts">{"".join(figures)}</div>',
    ]


def _strips(evaluation: Evaluation, images: int) -> list[str]:
    pairs = evaluation.pairs
    shown = sorted({round(i) for i in np.linspace(0, len(pairs) - 1, images)})
    ramp = ",".join(
        "rgb({} {} {})".format(*difference_palette()[level])
        for level in (1, 64, 128, 192, 255)
    )
    parts = [
        f"<p>Shown: {len(shown)} of {len(pairs)} pairs. Press a picture to enlarge it; "
        "the arrow keys flip through its row in place.</p>"
        f'<p class="note">Differences of luminance: &minus;{DIFFERENCE_RANGE}'
        f'<span class="scale" style="background:linear-gradient(90deg,{ramp})"></span>'
        f"+{DIFFERENCE_RANGE} grey levels, near white where equal.</p>"
        if images
        else f"<p>Shown: none of {len(pairs)} pairs.</p>"
    ]
    for index in shown:
        figures = "".join(_row(evaluation, pairs[index]))
        stem = html.escape(pairs[index].stem)
        parts.append(f'<h3>{stem}</h3><div class="strip">{figures}</div>')
    rest = [pair.stem for i, pair in enumerate(pairs) if i not in shown]
    if rest:
        parts.append(
            f"<details><summary>Not shown: {len(rest)} pairs</summary><p>"
            f"{html.escape(', '.join(rest))}</p></details>"
        )
    return parts


def _row(evaluation: Evaluation, pair: Pair) -> list[str]:
    """Returns a pair's figures: the sources, then each method and its difference."""
    figures = [
        _figure("Source a", data_uri(read_picture(pair.path_a, levels=pair.levels))),
        _figure("Source b", data_uri(read_picture(pair.path_b, levels=pair.levels))),
    ]
    fused = {name: method(pair) for name, method in evaluation.methods.items()}
    reference = to_luminance(fused[evaluation.reference])
    mean = average(*read_luminances(pair))
    for name, picture in fused.items():
        figures.append(_figure(name, data_uri(picture)))
        if name == evaluation.reference:
            base, base_name = mean, "the average of the sources"
        else:
            base, base_name = reference, evaluation.reference
        levels = difference_picture(to_luminance(picture), base)
        figures.append(
            _figure(f"{name} minus {base_name}", data_uri(levels, difference_palette()))
        )
    return figures


def _figure(caption: str, uri: str) -> str:
    text = html.escape(caption)
    return (
        f'<figure><button type="button"><img src="{uri}" alt="{text}"></button>'
        f"<figcaption>{text}</figcaption></figure>"
    )
