"""The page that shows an evaluation: tables, a chart a metric, pictures to compare."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refusion_jax import charts, metrics
from refusion_jax.data.pairs import Pair
from refusion_jax.data.pictures import read_picture, to_luminance
from refusion_jax.extras import version_of
from refusion_jax.methods import Method, average, read_luminances
from refusion_jax.report import data_uri, write_page
from refusion_jax.scores import Scores
from refusion_jax.table_formats import to_html
from refusion_jax.tables import Table

DIFFERENCE_RANGE = 64  # grey levels at which a difference picture saturates

STYLE = """
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); }
td { text-align: right; white-space: nowrap; }
thead th { text-align: right; white-space: nowrap; }
thead th:first-child { white-space: normal; }
thead th:first-child, tbody th { text-align: left; position: sticky; left: 0;
  background: var(--paper); max-width: min(22rem, 40vw); overflow-wrap: anywhere; }
tbody th { font-weight: 500; min-width: min(14rem, 32vw); }
abbr { text-decoration: none; color: var(--faint); }
.best { font-weight: 700; background: var(--mark); }
.second { text-decoration: underline; text-underline-offset: 0.2em; }
.published td, .published th { color: var(--faint); font-weight: 400; }
small { display: block; color: var(--faint); font-weight: 400; }
.note, .legend { font-size: 0.85rem; color: var(--faint); max-width: 48rem; }
.legend span { display: inline-block; margin-right: 1.2rem; }
.legend svg { width: 1.8rem; height: 0.7rem; vertical-align: middle; }
.charts { display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.charts figcaption { color: var(--ink); font-weight: 600; }
svg text { font-size: 10px; fill: var(--faint); }
svg .grid { stroke: var(--line); }
.strip { display: flex; gap: 0.6rem; overflow-x: auto; padding-bottom: 0.5rem; }
.strip figure { flex: 0 0 min(17rem, 70vw); }
.strip button { all: unset; cursor: zoom-in; display: block; width: 100%; }
.strip button:focus-visible { outline: 3px solid #2f86d1; }
.scale { display: inline-block; width: 9rem; height: 0.7rem; vertical-align: middle;
  margin: 0 0.4rem; border: 1px solid var(--line); }
body:has(dialog[open]) { overflow: hidden; }
dialog { width: 100%; height: 100%; max-width: none; max-height: none; border: 0;
  padding: 0; background: #111; color: #eee; }
dialog[open] { display: flex; flex-direction: column; }
dialog nav { display: flex; gap: 0.4rem; align-items: center; padding: 0.4rem; }
dialog nav output { flex: 1; overflow-wrap: anywhere; font-size: 0.9rem; }
dialog nav button { font: inherit; min-width: 2.6rem; min-height: 2.6rem; color: #eee;
  background: #333; border: 0; border-radius: 0.3rem; }
dialog div { flex: 1; overflow: auto; }
dialog img { display: block; margin: auto; image-rendering: pixelated; }
"""

# Flipping between the pictures of a row keeps the place, so that they can be compared.
SCRIPT = """
const dialog = document.querySelector('dialog'), shown = dialog.querySelector('img');
const box = dialog.querySelector('div'), label = dialog.querySelector('output');
let row = [], name = '', at = 0, zoom = 1;
function show() {
  const picture = row[at].querySelector('img');
  shown.src = picture.src; shown.alt = picture.alt;
  label.textContent = `${name}: ${picture.alt}`;
  shown.style.width = picture.naturalWidth * zoom + 'px';
}
function turn(by) { at = (at + by + row.length) % row.length; show(); }
function scale(by) {
  const x = (box.scrollLeft + box.clientWidth / 2) / zoom;
  const y = (box.scrollTop + box.clientHeight / 2) / zoom;
  zoom = Math.min(8, Math.max(1 / 8, zoom * by)); show();
  box.scrollTo(x * zoom - box.clientWidth / 2, y * zoom - box.clientHeight / 2);
}
for (const strip of document.querySelectorAll('.strip')) {
  const buttons = [...strip.querySelectorAll('button')];
  buttons.forEach((button, i) => button.addEventListener('click', () => {
    row = buttons; name = strip.previousElementSibling.textContent; at = i;
    dialog.showModal();
    const picture = button.querySelector('img');
    const fit = Math.min(box.clientWidth / picture.naturalWidth,
      box.clientHeight / picture.naturalHeight);
    zoom = Math.min(8, Math.max(1 / 8, 2 ** Math.floor(Math.log2(fit)))); show();
  }));
}
const actions = { previous: () => turn(-1), next: () => turn(1), out: () => scale(0.5),
  in: () => scale(2), close: () => dialog.close() };
dialog.addEventListener('click', event => actions[event.target.name]?.());
dialog.addEventListener('keydown', event => {
  const action = { ArrowLeft: 'previous', ArrowRight: 'next', '-': 'out', '+': 'in',
    '=': 'in' }[event.key];
  if (action) { event.preventDefault(); actions[action](); }
});
"""

DIALOG = """<dialog><nav><output></output>
<button name="previous" aria-label="previous picture">&lsaquo;</button>
<button name="next" aria-label="next picture">&rsaquo;</button>
<button name="out" aria-label="smaller">&minus;</button>
<button name="in" aria-label="larger">+</button>
<button name="close" aria-label="close">&times;</button></nav>
<div><img alt=""></div></dialog>"""


class Evaluation(NamedTuple):
    """All that the page shows.

    Attributes:
      title: plain text.
      pairs: the sources.
      methods: how each method's pictures are had.
      scores: of each method, in the same order.
      reference: the method that others are compared with.
      summary: table of means.
      differences: table of differences; None with a single method.
      remarks: paragraphs of plain text about how it was measured.
    """

    title: str
    pairs: Sequence[Pair]
    methods: Mapping[str, Method]
    scores: Mapping[str, Scores]
    reference: str
    summary: Table
    differences: Table | None
    remarks: Sequence[str]


def write_evaluation_report(path: Path, evaluation: Evaluation, *, images: int) -> None:
    """Writes the page; it needs no other file and no network.

    Args:
      path: the .html file.
      evaluation: what to show.
      images: of how many pairs pictures are shown; they are spread evenly over the
        order of names, and the page names the rest.
    """
    body = [
        f"<h1>{html.escape(evaluation.title)}</h1>",
        "<h2>Means</h2>",
        to_html(evaluation.summary),
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
        path, evaluation.title, [*body, DIALOG], style=STYLE, script=SCRIPT.strip()
    )


def difference_picture(luminance: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The signed difference of two pictures as levels of `difference_palette`.

    Args:
      luminance, reference: uint8, (height, width).

    Returns:
      uint8: 128 where they are equal; 1 and 255 where the first is darker, brighter by
      DIFFERENCE_RANGE grey levels or more.
    """
    delta = luminance.astype(np.float64) - reference
    share = np.clip(delta / DIFFERENCE_RANGE, -1, 1)
    return np.rint(128 + 127 * share).astype(np.uint8)


def difference_palette() -> np.ndarray:
    """Blue for darker, white for equal, red for brighter.

    Returns:
      uint8, 256 x 3: the colours of `difference_picture`'s levels.
    """
    share = (np.arange(256)[:, None] - 128) / 127
    blue, red = np.array([33, 82, 192]), np.array([192, 40, 33])
    end = np.where(share < 0, blue, red)
    return np.rint(255 + np.clip(np.abs(share), 0, 1) * (end - 255)).astype(np.uint8)


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
        record = metrics.METRICS[key]
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
    ramp = "rgb({} {} {}),rgb(255 255 255),rgb({} {} {})".format(
        *difference_palette()[1], *difference_palette()[255]
    )
    parts = [
        f"<p>Shown: {len(shown)} of {len(pairs)} pairs. Press a picture to enlarge it; "
        "the arrow keys flip through its row in place.</p>"
        f'<p class="note">Differences of luminance: &minus;{DIFFERENCE_RANGE}'
        f'<span class="scale" style="background:linear-gradient(90deg,{ramp})"></span>'
        f"+{DIFFERENCE_RANGE} grey levels, white where equal.</p>"
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
    """Sources, then each method and its difference."""
    figures = [
        _figure("Source a", data_uri(read_picture(pair.path_a))),
        _figure("Source b", data_uri(read_picture(pair.path_b))),
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
