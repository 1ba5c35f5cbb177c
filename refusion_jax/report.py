"""One self-contained HTML page: headings, paragraphs, pictures, curves."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from refusion_jax.files.atomic import replace_file
from refusion_jax.panel import to_bytes

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#222, #e4e4e4);
  --faint: light-dark(#5c5c5c, #a6a6a6); --line: light-dark(#d8d8d8, #444);
  --paper: light-dark(#fff, #16181b); --mark: light-dark(#fff2c4, #4d4218); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; color: var(--ink); background: var(--paper); }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
.pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(14rem, 100%), 1fr)); }
figure { margin: 0; }
figure img { width: 100%; display: block; }
figcaption { font-size: 0.85rem; color: var(--faint); padding-top: 0.25rem; }
"""


class Section(NamedTuple):
    """A heading with what stands under it.

    Attributes:
      heading: plain text.
      paragraphs: plain text.
      pictures: caption to picture: an array (uint8, or floats in [0, 1], grey or RGB).
    """

    heading: str
    paragraphs: Sequence[str]
    pictures: Mapping[str, np.ndarray]


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the page; it needs no other file and no network.

    Args:
      path: the .html file.
      title: plain text.
      sections: in order.
    """
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.heading)}</h2>")
        body.extend(f"<p>{html.escape(text)}</p>" for text in section.paragraphs)
        figures = "".join(
            f'<figure><img src="{data_uri(picture)}" alt="{html.escape(caption)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            for caption, picture in section.pictures.items()
        )
        body.append(f'<div class="pictures">{figures}</div>')
    write_page(path, title, body)


def write_page(
    path: Path, title: str, body: Sequence[str], *, style: str = "", script: str = ""
) -> None:
    """Writes a page of one file, light or dark as the reader's system is.

    Args:
      path: the .html file.
      title: plain text.
      body: HTML, escaped by the caller.
      style: CSS after `STYLE`.
      script: JavaScript at the end of the page.
    """
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style></head>\n"
        "<body>"
        + "\n".join(body)
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )
    replace_file(path, page.encode("utf-8", "replace"))


def data_uri(picture: np.ndarray, palette: np.ndarray | None = None) -> str:
    """A picture as a PNG inside a URI.

    Args:
      picture: uint8, or floats in [0, 1]; height x width or height x width x 3.
      palette: colours of a grey picture's levels, uint8, 256 x 3; None: grey.

    Returns:
      "data:image/png;base64,...".
    """
    buffer = io.BytesIO()
    image = Image.fromarray(to_bytes(picture))
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def color_map(values: np.ndarray) -> np.ndarray:
    """Colours a map like the paper's Figs. 8 to 11: blue is 0, red is 1.

    Args:
      values: height x width in [0, 1].

    Returns:
      uint8, height x width x 3.
    """
    from matplotlib import colormaps

    return to_bytes(colormaps["turbo"](values)[..., :3])


def plot_curves(
    lines: Sequence[Mapping[str, Any]], curves: Mapping[str, tuple[str, str]]
) -> np.ndarray:
    """Plots logged scalars over steps, logarithmically.

    Args:
      lines: of a scalars.jsonl.
      curves: label to (stage, scalar's name).

    Returns:
      uint8 picture, height x width x 3.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for label, (stage, name) in curves.items():
        points = [(x["step"], x[name]) for x in lines if x["stage"] == stage]
        marker = "o" if stage == "validation" else ""
        axes.plot(*zip(*points, strict=True), marker=marker, label=label)
    axes.set(xlabel="step", yscale="log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
