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

PREVIEW = 1600  # pixels, the longer side of pictures inside a page
_SMALL = 1 << 16  # bytes, up to which a preview is not worth losing bits for

# What `gallery.js` opens over a page.
DIALOG = """<dialog><header><h2></h2>
<button name="close" type="button">Close</button></header><div></div></dialog>"""


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
            figure(caption, preview_uri(picture))
            for caption, picture in section.pictures.items()
        )
        body.append(
            f'<div class="pictures" data-title="{html.escape(section.heading)}">'
            f"{figures}</div>"
        )
    write_gallery(path, title, body)


def figure(caption: str, uri: str) -> str:
    """Returns a figure that opens in the viewer of a gallery.

    Args:
      caption: plain text.
      uri: of the picture.
    """
    text = html.escape(caption)
    return (
        f'<figure><button type="button"><img src="{uri}" alt="{text}"></button>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def write_gallery(path: Path, title: str, body: Sequence[str]) -> None:
    """Writes a page whose figures open in the viewer and whose tables sort.

    Args:
      path: the .html file.
      title: plain text.
      body: HTML, escaped by the caller. The figures of elements with `data-title` are
        compared with each other; tables of the class `sortable` sort.
    """
    write_page(
        path,
        title,
        [*body, DIALOG],
        style=asset("viewer.css") + asset("gallery.css"),
        script=asset("viewer.js") + asset("gallery.js"),
    )


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


def preview_uri(picture: np.ndarray, palette: np.ndarray | None = None) -> str:
    """Encodes a picture for looking at: scaled down if large, WebP if PNG is large.

    Args:
      picture: uint8, or floats in [0, 1]; height x width or height x width x 3.
      palette: colours of a grey picture's levels, uint8, 256 x 3; None for grey.

    Returns:
      "data:image/...;base64,..."; of small files the picture to the last bit.

    Examples:
      >>> preview_uri(np.zeros((2, 3)))[:32]
      'data:image/png;base64,iVBORw0KGg'
    """
    levels = to_bytes(picture)
    image = Image.fromarray(levels if palette is None else palette[levels])
    if max(image.size) > PREVIEW:
        image.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    for kind, options in (("PNG", {"optimize": True}), ("WEBP", {"quality": 90})):
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        if buffer.tell() <= _SMALL:
            break
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{encoded}"
