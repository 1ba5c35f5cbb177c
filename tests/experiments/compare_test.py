"""The comparison's records and pages, and what it measures again."""

import math
from pathlib import Path

import compare
import numpy as np
import pytest
from comparison import cards, pages
from comparison.records import Measured, Record, read_record, write_record
from configs.comparison import TEST_SETS
from PIL import Image

from refusion_jax.evaluation.candidates import Baseline
from refusion_jax.evaluation.scores import Scores
from refusion_jax.weights.pretrained import find_pretrained

KEYS = ("en", "sd", "sf", "viff", "qcb", "qncie")
RESULTS = Path(__file__).parents[2] / "experiments/results/comparison"
RNG = np.random.default_rng(0)


def scores(*rows, keys=KEYS):
    return Scores(tuple("pq"), keys, np.array(rows, np.float64))


def test_a_record_is_read_as_it_was_written_one_line_a_picture(tmp_path):
    values = [[1 / 3, 20, 1e-9, -4.5, 0.1, math.nan], [1, 2, 3, 4, 5, 6]]
    record = Record("abc", {"ours": Measured("weights [1]", scores(*values))})
    write_record(tmp_path / "x.json", record)
    found = read_record(tmp_path / "x.json")
    assert found.pictures == "abc" and list(found.methods) == ["ours"]
    assert found.methods["ours"].origin == "weights [1]"
    assert found.methods["ours"].scores.stems == ("p", "q")
    np.testing.assert_allclose(found.methods["ours"].scores.values, values, rtol=1e-6)
    lines = (tmp_path / "x.json").read_text().splitlines()
    assert '    "q": [ 1.0, 2.0, 3.0, 4.0, 5.0, 6.0 ]' in lines
    assert read_record(tmp_path / "none.json") is None


def test_another_file_is_no_record(tmp_path):
    (tmp_path / "x.json").write_text("[1, 2]")
    with pytest.raises(
        ValueError, match=r"by compare\.py, got .*x\.json .*; remove it"
    ):
        read_record(tmp_path / "x.json")


def test_pages_rank_compare_and_sum_up(tmp_path):
    low = scores([1] * 6, [1] * 6)
    methods = {
        "ours": Measured("o", scores([2] * 6, [2] * 6)),
        "average": Measured("a", low),
        "guided": Measured("g", scores([3, 1, 1, 1, 1, 1], [3, 1, 1, 1, 1, 1])),
    }
    records = {
        "lytro": Record("", methods),
        "mefb": Record("", dict(list(methods.items())[:2])),
    }
    pages.write_pages(tmp_path, records)
    lytro = (tmp_path / "lytro.md").read_text()
    # First in five columns and second in one.
    assert "| ours | *2.000* | **2.000** |" in lytro and "| **1.17** |" in lytro
    assert "published, not measured: Table 3, 20 pairs" in lytro
    assert "| guided | +1.000 (+1.000 to +1.000) | -1.000" in lytro
    assert "| 1 : 5 : 0 |" in lytro and "true picture" not in lytro
    overview = (tmp_path / "README.md").read_text().splitlines()
    assert "| Mean rank (pairs) | Lytro (2) ↓ | MEFB (2) ↓ |" in overview
    assert "| guided | *2.25* | - |" in overview
    assert "| guided | 1 : 5 : 0 | - |" in overview
    assert "| average | 0 : 6 : 0 | 0 : 6 : 0 |" in overview


@pytest.fixture
def run(tmp_path):
    """Measures a set that has true pictures, and returns which methods were made."""
    test_set = TEST_SETS["nyud"]
    for side in ("near", "far", "gt"):
        (tmp_path / side).mkdir()
        for stem in "12":
            pixels = RNG.integers(0, 256, (48, 48), np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{stem}.png")
    made = []

    def method(name, origin):
        def make():
            made.append(name)
            return Baseline(lambda a, b: a // 2 + b // 2, name)

        return compare.Method(origin, make, truth_only=name == "alone")

    def run(**origins):
        made.clear()
        origins = {"ours": "first", "average": "a", "alone": "n"} | origins
        methods = {name: method(name, origin) for name, origin in origins.items()}
        compare.measure(tmp_path / "nyud.json", test_set, tmp_path, methods)
        return list(made)

    return run


def test_only_what_is_new_is_measured(run, tmp_path):
    assert run() == ["ours", "average", "alone"]
    assert run() == []
    assert run(ours="second") == ["ours"]
    record = read_record(tmp_path / "nyud.json")
    assert list(record.methods) == ["ours", "average", "alone"]
    assert record.methods["ours"].origin == "second"
    assert record.methods["alone"].scores.keys == ("psnr_truth", "ssim_truth")
    pages.write_pages(tmp_path, {"nyud": record})
    fusion, truth = (tmp_path / "nyud.md").read_text().split("## Against the true")
    assert "| alone |" not in fusion and "| alone |" in truth


def test_other_pictures_are_measured_again(run, tmp_path):
    run()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(tmp_path / "gt" / "1.png")
    assert run() == ["ours", "average", "alone"]


def test_a_stopped_run_keeps_what_it_measured(run, monkeypatch):
    whole = compare.score

    def stop(*arguments, name, **rest):
        if name == "average":
            raise KeyboardInterrupt
        return whole(*arguments, name=name, **rest)

    monkeypatch.setattr(compare, "score", stop)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(compare, "score", whole)
    assert run() == ["average", "alone"]


def test_missing_weights_of_the_authors_are_named(tmp_path):
    pytest.importorskip("cv2", reason="OpenCV is in the extra `classical`")
    with pytest.raises(
        FileNotFoundError, match=r"ReFusion_MIF\.pth, got no such file; correct"
    ):
        compare.methods_for(TEST_SETS["harvard_ct"], tmp_path)


def test_methods_are_those_of_the_task():
    pytest.importorskip("cv2", reason="OpenCV is in the extra `classical`")
    classical = ["average", "maximum", "laplacian", "mertens", "guided"]
    assert list(compare.methods_for(TEST_SETS["mefb"], None)) == ["ours", *classical]
    nyud = compare.methods_for(TEST_SETS["nyud"], None)
    rest = ["ours, --range=stretch", "near alone", "far alone"]
    assert list(nyud) == ["ours", *classical, *rest]
    assert [name for name, x in nyud.items() if x.truth_only] == rest


def test_a_card_says_what_was_measured_and_keeps_the_rest(tmp_path):
    methods = {
        "ours": Measured("o", scores([2] * 6, [2] * 6)),
        "average": Measured("a", scores([1] * 6, [1] * 6)),
        "guided": Measured("g", scores([3, 1, 1, 1, 1, 1], [3, 1, 1, 1, 1, 1])),
    }
    records = {"lytro": Record("", methods), "mefb": Record("", methods)}
    card = tmp_path / "mfif.card.md"
    card.write_text(
        "---\na: b\n---\n\n# Title\n\n**Scores**: none.\n\n**Limits.** Few.\n"
    )
    for _ in range(2):  # the second time nothing changes
        cards.update_card(card, "mfif", records)
        head, text, limits = card.read_text().split("\n\n")[1:]
        assert (head, limits) == ("# Title", "**Limits.** Few.\n")
        assert text.startswith("**Scores** on test sets")
        last = "- Lytro, 2 pairs: 1.17 of 3 methods; guided 2.25"
        assert text.splitlines()[1:] == [last]
    card.write_text("# Title\n")
    with pytest.raises(ValueError, match=r"\*\*Scores\*\* in .*mfif.card.md, got 0"):
        cards.update_card(card, "mfif", records)


def test_every_set_names_sources_and_columns():
    for name, test_set in TEST_SETS.items():
        assert test_set.folder.endswith("/test"), name
        assert test_set.folder.startswith(test_set.task)


@pytest.mark.parametrize("name", TEST_SETS)
def test_the_tables_are_those_of_the_weights_that_ship(name):
    """After new weights: python experiments/compare.py --cards (experiments/README)."""
    record = read_record(RESULTS / f"{name}.json")
    shipped = find_pretrained(TEST_SETS[name].task)
    is_stretched = shipped.output_range == "stretch"
    rule = "" if is_stretched else f", --range={shipped.output_range}"
    assert record.methods["ours"].origin == (
        f"the shipped weights {shipped.name}, SHA-256 {shipped.sha256}{rule}"
    )
