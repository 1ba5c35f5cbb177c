import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from refusion_jax.reporting.page import PREVIEW, Section, preview_uri, write_report

GREY = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
NASTY = "<script>alert('x')</script> & \"quoted\""


class Page(HTMLParser):
    """Tags with their attributes, and the text inside each kind of tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def pixels(uri, kind="png"):
    head, _, content = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
        return np.asarray(image)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "report.html"
    sections = [
        Section("First", ["one", "two"], {"grey": GREY, "colour": RGB}),
        Section(NASTY, [NASTY], {NASTY: GREY}),
        Section("Empty", [], {}),
    ]
    write_report(path, NASTY, sections)
    return Page(path.read_text(encoding="utf-8"))


def test_headings_paragraphs_and_captions_come_in_order(page):
    assert page.texts["h1"] == [NASTY]
    assert page.texts["h2"] == ["First", NASTY, "Empty"]
    assert page.texts["p"] == ["one", "two", NASTY]
    assert page.texts["figcaption"] == ["grey", "colour", NASTY]


def test_text_never_becomes_a_tag_or_ends_an_attribute(page):
    assert [tag for tag, _ in page.tags].count("script") == 1
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == ["grey", "colour", NASTY]
    assert all(set(image) == {"src", "alt"} for image in images)


def test_every_tag_is_closed(page):
    assert not page.open


def test_the_page_needs_no_other_file_and_no_network(page):
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "data", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:")
    code = page.texts["style"] + page.texts["script"]
    assert not re.search(r"url\((?!#)|@import|https?:|//|fetch|XMLHttp", "".join(code))


def test_pictures_are_embedded_to_the_last_bit(page):
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    for image, expected in zip(images, (GREY, RGB, GREY), strict=True):
        np.testing.assert_array_equal(pixels(image["src"]), expected)


def test_floats_are_embedded_as_the_nearest_bytes():
    np.testing.assert_array_equal(pixels(preview_uri(GREY / 255)), GREY)


def test_palettes_colour_levels():
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    np.testing.assert_array_equal(pixels(preview_uri(GREY, palette)), palette[GREY])


def test_large_pictures_become_previews():
    wide = np.random.default_rng(3).integers(0, 256, (240, 2 * PREVIEW), np.uint8)
    uri = preview_uri(wide)
    small = pixels(uri, "webp")
    assert small.shape[:2] == (120, PREVIEW)
    assert abs(small.mean() - wide.mean()) < 2  # levels: lossy, but the same picture
    assert len(uri) < wide.size / 2


def test_figures_of_a_section_are_compared_with_each_other(page):
    groups = [x["data-title"] for _, x in page.tags if "data-title" in x]
    assert groups == ["First", NASTY, "Empty"]
    assert [tag for tag, _ in page.tags].count("button") == 3 + 1  # and to close
