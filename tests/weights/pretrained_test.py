import configparser
import fnmatch
import shutil
from pathlib import Path

import numpy as np
import pytest

import refusion_jax
from refusion_jax.fusing.choice import LOOKS
from refusion_jax.weights.cards import read_card
from refusion_jax.weights.pretrained import (
    find_pretrained,
    pretrained,
    pretrained_file,
    pretrained_names,
    shipped_folder,
    suitable_range,
)
from refusion_jax.weights.store import load_any_weights, load_weights

ROOT = Path(__file__).parent.parent.parent


def test_records_tell_what_the_cards_tell(shipped):
    records = pretrained(shipped)
    assert [x.name for x in records] == ["bracket", "depth", "heat", "scan"]
    heat = records[2]
    assert heat.title == "Heat and light"
    assert heat.sources == ("infrared", "visible")
    assert (heat.license, heat.method) == ("apache-2.0", "refusion")
    assert heat.hints.first == {"ir", "infrared"}  # lower case, whatever the card has
    assert heat.hints.any == frozenset()
    assert heat.hints.look == "sensors"
    assert pretrained_file("heat", shipped) == shipped / "heat.safetensors" == heat.path


def test_the_range_is_that_of_the_card_or_the_authors(shipped):
    card = shipped / "heat.card.md"
    card.write_text(card.read_text().replace("method:", "range: source\nmethod:"))
    ranges = {x.name: x.output_range for x in pretrained(shipped)}
    assert ranges == {
        **dict.fromkeys(("bracket", "depth", "scan"), "stretch"),
        "heat": "source",
    }
    for weights in ("heat", shipped / "heat.safetensors"):
        assert suitable_range(weights) == "source"
    for weights in ("scan", shipped.parent / "heat.safetensors", {"tail1": 0}, None):
        assert suitable_range(weights) == "stretch"


def test_what_is_fused_by_shipped_weights_has_the_range_of_their_card(shipped):
    card = shipped / "heat.card.md"
    card.write_text(card.read_text().replace("method:", "range: none\nmethod:"))
    a, b = np.random.default_rng(0).integers(60, 190, (2, 24, 24), np.uint8)
    stretched = refusion_jax.fuse(a, b, task="heat", output_range="stretch")
    assert (stretched.min(), stretched.max()) == (0, 255)
    as_it_is = refusion_jax.fuse(a, b, task="heat", output_range="none")
    assert (as_it_is != stretched).any()
    fuser = refusion_jax.Fuser.from_pretrained("heat")
    for fused in (refusion_jax.fuse(a, b, task="heat"), fuser.fuse(a, b)):
        np.testing.assert_array_equal(fused, as_it_is)
    own = refusion_jax.Fuser.from_pretrained("heat", output_range="stretch")
    np.testing.assert_array_equal(own.fuse(a, b), stretched)


def test_what_lies_at_a_path_wins_over_shipped_weights_of_its_name(
    shipped, monkeypatch, tmp_path
):
    """For the range as for the weights; a task is always that of the package."""
    card = shipped / "heat.card.md"
    card.write_text(card.read_text().replace("method:", "range: none\nmethod:"))
    a, b = np.random.default_rng(0).integers(60, 190, (2, 24, 24), np.uint8)
    by_task = refusion_jax.fuse(a, b, task="heat")
    (tmp_path / "heat").mkdir()
    shutil.copy(shipped / "heat.safetensors", tmp_path / "heat/weights.safetensors")
    monkeypatch.chdir(tmp_path)
    assert suitable_range("heat") == "stretch"  # a run has no card
    fused = refusion_jax.fuse(a, b, weights="heat")
    assert (fused.min(), fused.max()) == (0, 255)
    np.testing.assert_array_equal(refusion_jax.fuse(a, b, task="heat"), by_task)
    assert (by_task != fused).any()


def test_the_front_door_lists_the_weights_of_the_package(shipped):
    assert refusion_jax.pretrained() == pretrained(shipped)


def test_no_folder_means_no_weights(tmp_path):
    assert pretrained(tmp_path / "none") == ()
    with pytest.raises(ValueError, match=r"among \(none\), got 'heat'; choose"):
        pretrained_file("heat", tmp_path / "none")


def test_an_unknown_name_lists_the_names(shipped):
    message = "among bracket, depth, heat, scan, got 'melt'; choose one of these.$"
    with pytest.raises(ValueError, match=message):
        pretrained_file("melt", shipped)


def test_a_changed_file_is_refused(shipped):
    file = shipped / "heat.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(
        ValueError, match=r"of their card, [0-9a-f]{64}, got [0-9a-f]{6}"
    ):
        pretrained_file("heat", shipped)
    assert pretrained_file("scan", shipped).is_file()


def test_a_missing_card_is_named(shipped):
    (shipped / "heat.card.md").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no file at .*heat\.card\.md; install"
    ):
        pretrained(shipped)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("title: Heat and light", "title: 7", "expected title as text in .*, got 7"),
        ("license: apache-2.0", "", "expected license as text in .*, got None"),
        ("- visible", "", "expected two sources in words in .*, got ..infrared.."),
        ("[vi, visible]", "[on]", "expected hints of quoted words in .*True"),
        ("second:", "third:", "expected hints among first, second, any, look in "),
        ("look: sensors", "look: [a]", "expected hints of quoted words in "),
        ("---\nlicense", "license", "expected YAML between two lines of --- in "),
        ("title: ", "title: [", "expected YAML in the card .*; correct it.$"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_card_is_told(shipped, before, after, message):
    card = shipped / "heat.card.md"
    text = card.read_text()
    assert before in text
    card.write_text(text.replace(before, after, 1))
    with pytest.raises(ValueError, match=message) as caught:
        find_pretrained("heat", shipped)
    assert "\n" not in str(caught.value) and str(card) in str(caught.value)


def test_a_card_may_hold_rules_of_its_own(shipped):
    facts, body = read_card(shipped / "heat.card.md")
    assert facts["hints"]["look"] == "sensors"
    assert body == "# Heat and light\n\nFor tests.\n\n---\n\nThe end.\n"


def test_a_bare_name_stands_for_shipped_weights(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_any_weights("heat").metadata == {"for": "heat"}
    (tmp_path / "scan").mkdir()  # what lies there is meant
    with pytest.raises(FileNotFoundError, match=r"scan/weights.safetensors"):
        load_any_weights("scan")
    with pytest.raises(
        ValueError, match=r"shipped weights bracket, .*, got melt; name"
    ):
        load_any_weights("melt")
    with pytest.raises(ValueError, match="got sub/heat; name one of these"):
        load_any_weights("sub/heat")


@pytest.mark.parametrize("name", pretrained_names())
def test_what_is_shipped_is_whole(name):
    record = find_pretrained(name)
    weights = load_weights(pretrained_file(name))
    assert weights.method.name == record.method
    assert record.hints.look in {"", *LOOKS}
    assert read_card(record.card)[1].strip()


def test_shipped_looks_are_told_apart():
    looks = [x.hints.look for x in pretrained() if x.hints.look]
    assert len(looks) == len(set(looks))


def test_what_is_shipped_goes_into_the_wheel():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["refusion_jax.weights"].split(", ")
    packed = [f"pretrained/heat{end}" for end in (".safetensors", ".card.md")]
    packed += [f"pretrained/{file.name}" for file in shipped_folder().glob("*")]
    for name in packed:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
