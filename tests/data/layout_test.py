import os
import re

import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.catalogue import CATALOGUE, facts_of
from refusion_jax.data.layout import SplitFolders, fingerprint, list_files, locate

FACTS = facts_of("msrs")


def fill(folder, *stems):
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(folder / f"{stem}.png")
    return folder


@pytest.mark.parametrize("order", ["{split}/{side}", "{side}/{split}"])
@pytest.mark.parametrize("sides", [("infrared", "visible"), ("ir", "vi")])
def test_folders_are_found_in_both_orders_and_by_all_their_names(
    tmp_path, order, sides
):
    for split in ("train", "test"):
        for side in sides:
            fill(tmp_path / order.format(split=split, side=side), "1")
    found = locate(tmp_path, FACTS)
    assert list(found) == ["train", "test"]
    for split, folders in found.items():
        expected = (tmp_path / order.format(split=split, side=s) for s in sides)
        assert folders == SplitFolders(*expected, None)


def test_one_split_is_enough_and_a_third_folder_is_optional(tmp_path):
    for side in ("infrared", "visible", "mask"):
        fill(tmp_path / "test" / side, "1")
    assert locate(tmp_path, FACTS) == {
        "test": SplitFolders(
            *(tmp_path / "test" / side for side in ("infrared", "visible", "mask"))
        )
    }


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder at .*none; get .*Linfeng"):
        locate(tmp_path / "none", FACTS)
    with pytest.raises(FileNotFoundError, match=r"infrared,visible}, got an empty fol"):
        locate(tmp_path, FACTS)
    fill(tmp_path / "pictures", "1")
    with pytest.raises(FileNotFoundError, match=r"got pictures; use the folders train"):
        locate(tmp_path, FACTS)
    fill(tmp_path / "train" / "vi", "1")
    with pytest.raises(ValueError, match=r"two sources of train.*add .*train/infrared"):
        locate(tmp_path, FACTS)


def test_files_without_a_partner_are_listed(tmp_path):
    folders = SplitFolders(
        fill(tmp_path / "a", "1", "2", "3"),
        fill(tmp_path / "b", "2", "3", "4"),
        fill(tmp_path / "c", "3", "4"),
    )
    listing = list_files(folders)
    assert [pair.stem for pair in listing.pairs] == ["3"]
    assert listing.thirds == {"3": tmp_path / "c" / "3.png"}
    a, b, c = (str(folder) for folder in folders)
    assert listing.skipped == [
        f"{a}/1.png: no partner in {b} and {c}",
        f"{a}/2.png: no partner in {c}",
        f"{b}/2.png: no partner in {c}",
        f"{b}/4.png: no partner in {a}",
        f"{c}/4.png: no partner in {a}",
    ]
    assert list_files(folders._replace(third=None)).thirds == {}


def test_folders_without_a_common_stem_are_refused(tmp_path):
    folders = SplitFolders(fill(tmp_path / "a", "x-A"), fill(tmp_path / "b", "x-B"))
    with pytest.raises(ValueError, match=r"one stem .* got none; .*example x-A\.png"):
        list_files(folders)


def test_the_fingerprint_tells_changed_files(tmp_path):
    folders = SplitFolders(
        fill(tmp_path / "a", "1", "2"), fill(tmp_path / "b", "1", "2")
    )

    def now():
        return fingerprint({"train": list_files(folders)})

    before = now()
    assert before == now()
    os.utime(tmp_path / "b" / "1.png", ns=(0, 0))
    touched = now()
    (tmp_path / "a" / "2.png").unlink()
    assert len({before, touched, now()}) == 3
    assert fingerprint({"test": list_files(folders)}) != now()


def test_an_unknown_name_lists_the_catalogue():
    with pytest.raises(ValueError, match=r"\(msrs, .*, demo\), got 'MSRS2'"):
        facts_of("MSRS2")


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_says_what_a_user_needs(name):
    facts = CATALOGUE[name]
    assert facts.title and facts.sources_a and facts.sources_b and facts.arrange
    assert not set(facts.sources_a) & set(facts.sources_b)
    if name != "folder":
        assert facts.published and facts.citation
        assert facts.url.startswith("http")


def test_the_paper_s_splits_are_in_the_catalogue():
    """REFUSION section 5."""
    stated = {name: facts.paper for name, facts in CATALOGUE.items()}
    for name, numbers in {
        "msrs": ("1,083", "361"),
        "roadscene": ("50",),
        "harvard_pet": ("158", "50"),
        "realmff": ("400", "200"),
        "lytro": ("20",),
        "sice": ("300", "100"),
        "mefb": ("30",),
    }.items():
        assert all(number in stated[name] for number in numbers)


def test_llvip_s_scenes_are_the_first_two_digits():
    pattern = facts_of("llvip").scene
    assert re.search(pattern, "190007").group(1) == "19"
    assert not re.search(pattern, "FLIR_00006")
