"""Self-contained HTML pages: headings, paragraphs, pictures, curves."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from refusion_jax.files.atomic import replace_file
from refusion_jax.reporting.panel import to_bytes


class Section(NamedTuple):
    """A section of a page: a heading, paragraphs and pictures.

    Attributes:
      heading: plain text.
      paragraphs: plain text, one string per paragraph.
      pictures: pictures by caption: uint8, or floats in [0, 1]; grey or RGB.
    """

    heading: str
    paragraphs: Sequence[str]
    pictures: Mapping[str, np.ndarray]


def asset(name: str) -> str:
    """Reads a style sheet or a script that is part of this package.

    Args:
      name: name of the file, such as "page.css".
    """
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes a page of sections that needs no other file and no network.

    Args:
      path: the .html file.
      title: plain text.
      sections: the sections, in order.
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
    """Writes a page of one file, light or dark according to the reader's system.

    Args:
      path: the .html file.
      title: plain text.
      body: HTML, escaped by the caller.
      style: CSS to add after that of `page.css`.
      script: JavaScript to run at the end of the page.
    """
    styles = asset("page.css") + style
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{styles}</style></head>\n"
        "<body>"
        + "\n".join(body)
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )
    replace_file(path, page.encode("utf-8", "replace"))


def data_uri(picture: np.ndarray, palette: np.ndarray | None = None) -> str:
    """Encodes a picture as a PNG inside a URI.

    Args:
      picture: uint8, or floats in [0, 1]; height x width or height x width x 3.
      palette: colours of a grey picture's levels, uint8, 256 x 3; None for grey.

    Returns:
      "data:image/png;base64,...".

    Examples:
      >>> data_uri(np.zeros((2, 3)))[:32]
      'data:image/png;base64,iVBORw0KGg'
    """
    buffer = io.BytesIO()
    image = Image.fromarray(to_bytes(picture))
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
