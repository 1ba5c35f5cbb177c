import base64
import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from refusion_jax.evaluation.candidates import Baseline
from refusion_jax.evaluation.published import published_rows
from refusion_jax.evaluation.report import (
    _table,
    difference_palette,
    difference_picture,
    worst_first,
)
from refusion_jax.evaluation.results import ReportOptions, write_evaluation
from refusion_jax.evaluation.scores import Scores

NASTY = "<script>x</script>&\"'"
STEMS = ("1", "2", "3", "4<b>")


class Page(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def brighter(a, b):
    return np.maximum(a, 10) - np.uint8(10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    for stem in STEMS:
        for side, shape in (("a", (6, 8)), ("b", (6, 8, 3))):
            (folder / side).mkdir(exist_ok=True)
            picture = rng.integers(20, 236, shape, np.uint8)
            Image.fromarray(picture).save(folder / side / f"{stem}.png")
    methods = {
        "plain": Baseline(lambda a, b: a, "a itself"),
        NASTY: Baseline(lambda a, b: a + np.uint8(16), "a, brighter"),
    }
    published = published_rows(task="ivif", dataset=None)
    write_evaluation(
        folder / "out", folder / "a", folder / "b", methods, ("en", "sd"),
        ReportOptions(published, images=2, roles=("infrared", "visible")),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "out" / "report.html").read_text(encoding="utf-8"))


def strip_pictures(page):
    return [(a["alt"], a["src"]) for t, a in page.tags if t == "img" and a.get("src")]


def pixels(uri):
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
        return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def test_all_files_are_written(folder):
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "differences.md", "methods.json", "metrics.csv", "metrics.json", "report.html",
        "table.md", "table.tex",
    ]  # fmt: skip


def test_every_tag_is_closed(page):
    assert not page.open


def test_the_page_needs_no_other_file_and_no_network(page):
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:")
        assert not [name for name in attributes if name.startswith("on")]
    code = "".join(text for tag, text in page.texts if tag in ("style", "script"))
    assert not re.search(r"url\((?!#)|@import|https?:|//|fetch|XMLHttp|import\b", code)


def test_names_never_become_tags(page):
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [tag for tag, _ in page.tags if tag == "b"]
    everything = [text for tag, text in page.texts if tag not in ("script", "style")]
    assert any(text.strip() == NASTY for text in everything)
    assert "4<b>" in everything
    assert any(alt == NASTY for alt, _ in strip_pictures(page))


def test_published_rows_say_so(page):
    notes = [text for tag, text in page.texts if tag == "small"]
    for pairs in (361, 50):
        assert f"published, not measured: Table 1, {pairs} pairs" in notes


def test_published_rows_are_folded_below_the_measured_ones(page):
    tags = [(tag, attributes.get("class")) for tag, attributes in page.tags]
    folded = tags.index(("details", None))
    assert tags.index(("tr", "published")) > folded
    assert ("summary", "Published rows (2)") in page.texts


def test_rows_hold_sources_methods_and_labelled_differences(folder, page):
    pictures = strip_pictures(page)
    assert [alt for alt, _ in pictures] == [
        "Infrared", "Visible", "plain", "plain minus the average of the sources",
        NASTY, f"{NASTY} minus plain",
    ] * 2  # fmt: skip
    worst = next(text for tag, text in page.texts if tag == "h3")
    with Image.open(folder / "a" / f"{worst}.png") as image:
        source = np.asarray(image)
    np.testing.assert_array_equal(pixels(pictures[0][1]), source)
    np.testing.assert_array_equal(pixels(pictures[4][1]), source + 16)
    # Everywhere 16 of 64 levels brighter: a quarter of the way from white to brown.
    colour = difference_palette()[128 + round(127 / 4)]
    assert (pixels(pictures[5][1]) == colour).all()
    assert colour[0] > colour[2]


def values_of(page, pair):
    """Numbers of a pair's rows in the table of all pairs, by method."""
    rows, inside = [], False
    for tag, attributes in page.tags:
        if tag == "tr":
            inside = attributes.get("data-pair") == pair
            rows += [[]] if inside else []
        elif tag == "td" and inside:
            rows[-1].append(attributes.get("data-value"))
    return {name: [float(x) for x in values] for name, *values in rows}


def test_the_worst_pairs_come_first(folder, page):
    written = json.loads((folder / "out" / "metrics.json").read_text())["images"]
    ranks = {
        stem: sum(
            sorted((x[key] for x in written.values()), reverse=True).index(mine[key])
            for key in mine
        )
        for stem, mine in written.items()
    }
    shown = [text for tag, text in page.texts if tag == "h3"]
    assert "Shown: 2 of 4 pairs" in " ".join(text for _, text in page.texts)
    assert shown == sorted(STEMS, key=lambda stem: -ranks[stem])[:2]
    assert len({ranks[stem] for stem in STEMS}) == 4  # else the order proves nothing


def test_undefined_scores_rank_nobody():
    values = np.array([[math.nan, 1.0], [2.0, math.nan], [3.0, 3.0]])
    assert worst_first(Scores(("a", "b", "c"), ("en", "sd"), values)) == [0, 1, 2]


def test_the_table_holds_every_score_of_every_pair(folder, page):
    methods = json.loads((folder / "out" / "methods.json").read_text())
    for stem in STEMS:
        assert values_of(page, stem) == {
            name: list(methods[name]["images"][stem].values()) for name in methods
        }


def test_a_column_of_the_table_has_one_number_of_decimals():
    scores = Scores(("a", "b"), ("en", "sd"), np.array([[5.3, 12.0], [5.31, 9.5]]))
    text = "".join(_table({"one": scores}, [0, 1]))
    assert re.findall(r">([\d.]+)</td>", text) == ["5.300", "12.00", "5.310", "9.50"]


def test_a_report_without_pictures_says_so(folder, tmp_path):
    write_evaluation(
        tmp_path, folder / "a", folder / "b",
        {"one": Baseline(brighter, "darker")}, ("en", "sd"), ReportOptions(images=0),
    )  # fmt: skip
    page = Page((tmp_path / "report.html").read_text())
    assert not strip_pictures(page)
    assert ("p", "Shown: none of 4 pairs.") in page.texts
    assert not [text for tag, text in page.texts if tag == "h2" and "Diff" in text]


def test_truth_has_a_table_and_ranks_of_its_own(folder, tmp_path):
    methods = {
        "near": Baseline(lambda a, b: a + np.uint8(1), "a, off by 1"),
        "far": Baseline(lambda a, b: a + np.uint8(5), "a, off by 5"),
    }
    tables = write_evaluation(
        tmp_path, folder / "a", folder / "b", methods, ("mse",),
        ReportOptions(images=0, ground_truth=folder / "a"),
    )  # fmt: skip
    fusion, truth = tables
    assert fusion.titles == ("Method", "MSE", "Mean rank")
    assert truth.titles[1:] == (
        "PSNR to the true picture", "SSIM to the true picture", "Mean rank",
    )  # fmt: skip
    texts = {row.name: [cell.text for cell in row.cells] for row in truth.rows}
    # 20 log10(255), and 14 dB less for five times the error.
    assert texts["near"][0] == "48.13" and texts["far"][0] == "34.15"
    assert [texts[name][-1] for name in methods] == ["1.00", "2.00"]
    page = Page((tmp_path / "report.html").read_text())
    heads = [text.strip() for tag, text in page.texts if tag == "th"]
    assert "PSNR to the true picture" in heads
    written = (tmp_path / "table.md").read_text()
    assert written.count("| Method |") == 2
    differences = (tmp_path / "differences.md").read_text()
    assert "-13.98 (-13.98 to -13.98)" in differences


def test_an_unknown_reference_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match="reference among one, got 'two'; choose"):
        write_evaluation(
            tmp_path / "out", "none", "none", {"one": Baseline(brighter, "")},
            ("en",), ReportOptions(reference="two"),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_differences_are_signed_and_saturate():
    luminance = np.array([[100, 164, 255, 36, 0]], np.uint8)
    levels = difference_picture(luminance, np.full((1, 5), 100, np.uint8))
    np.testing.assert_array_equal(levels, [[128, 255, 255, 1, 1]])
    palette = difference_palette().astype(int)
    assert palette.shape == (256, 3) and (palette[128] == 247).all()
    assert palette[255, 0] - palette[255, 2] > 80 < palette[1, 2] - palette[1, 0]
