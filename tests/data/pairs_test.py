from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.pairs import Pair, find_pairs, read_pairs

PICTURE = np.arange(30, dtype=np.uint8).reshape(5, 6)


@pytest.fixture
def folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


def fill(folder, *names, picture=PICTURE):
    for name in names:
        Image.fromarray(picture).save(folder / name)


def test_pictures_pair_by_stem_in_sorted_order(folders):
    a, b = folders
    fill(a, "10.png", "2.png", "a.b.png", "a.c.PNG")
    fill(b, "a.c.jpg", "2.bmp", "10.tif", "a.b.png")
    assert find_pairs(a, str(b)) == [
        Pair("10", a / "10.png", b / "10.tif"),
        Pair("2", a / "2.png", b / "2.bmp"),
        Pair("a.b", a / "a.b.png", b / "a.b.png"),
        Pair("a.c", a / "a.c.PNG", b / "a.c.jpg"),
    ]


def test_hidden_files_folders_and_other_endings_are_ignored(folders):
    a, b = folders
    fill(a, "1.png", ".hidden.png")
    fill(b, "1.png")
    (a / "Thumbs.db").write_bytes(b"x")
    (b / "notes.txt").write_text("x")
    (a / "sub.png").mkdir()
    assert [pair.stem for pair in find_pairs(a, b)] == ["1"]


@pytest.mark.parametrize("swap", [False, True])
def test_an_unpaired_picture_is_named_with_the_folder_that_lacks_it(folders, swap):
    a, b = folders
    fill(a, "1.png", "2.png", "3.png", "4.png")
    fill(b, "1.png", "4.png")
    first, second = (b, a) if swap else (a, b)
    with pytest.raises(ValueError, match="2 without one") as error:
        find_pairs(first, second)
    assert f"{a / '2.png'}, whose partner 2.* is missing in {b};" in str(error.value)


def test_one_stem_with_two_endings_is_refused(folders):
    a, b = folders
    fill(a, "1.png", "1.jpg")
    fill(b, "1.png")
    with pytest.raises(ValueError, match=r"one picture per stem .*1\.jpg and 1\.png"):
        find_pairs(a, b)


def test_folders_that_are_missing_empty_or_files_are_named(folders):
    a, b = folders
    fill(a, "1.png")
    with pytest.raises(FileNotFoundError, match=f"got none at {a / 'none'}"):
        find_pairs(a / "none", b)
    with pytest.raises(ValueError, match=rf"in {b}, got none"):
        find_pairs(a, b)
    with pytest.raises(ValueError, match=r"got the file .*1\.png"):
        find_pairs(a, a / "1.png")


def test_pairs_are_read_as_luminance_a_first(folders):
    a, b = folders
    red = np.zeros((5, 6, 3), np.uint8)
    red[..., 0] = 200
    fill(a, "1.png", "2.png")
    fill(b, "1.png", "2.png", picture=red)
    pairs = read_pairs(find_pairs(a, b), minimum_size=5)
    assert len(pairs) == 2
    for read_a, read_b in pairs:
        np.testing.assert_array_equal(read_a, PICTURE)
        np.testing.assert_array_equal(read_b, np.full((5, 6), 60))  # 0.299 * 200
        assert read_a.dtype == read_b.dtype == np.uint8


def test_two_sizes_are_named_with_their_files(folders):
    a, b = folders
    fill(a, "1.png")
    fill(b, "1.png", picture=PICTURE.T)
    with pytest.raises(ValueError, match="crop or resize the pair") as error:
        read_pairs(find_pairs(a, b))
    assert f"{a / '1.png'} of 6x5 and {b / '1.png'} of 5x6" in str(error.value)


def test_a_picture_smaller_than_the_crop_is_named(folders):
    a, b = folders
    fill(a, "1.png")
    fill(b, "1.png")
    with pytest.raises(
        ValueError, match=r"crop's 6x6 .*1\.png of 6x5; choose a smaller"
    ):
        read_pairs(find_pairs(a, b), minimum_size=6)


def test_an_unreadable_picture_is_named(folders):
    a, b = folders
    fill(a, "1.png")
    (b / "1.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=f"got {b / '1.png'} "):
        read_pairs(find_pairs(a, b))


def test_an_accent_of_one_character_pairs_with_one_of_two(folders):
    """The second is how macOS writes it."""
    a, b = folders
    fill(a, "caf\u00e9.png")
    fill(b, "cafe\u0301.png")
    (pair,) = find_pairs(a, b)
    assert pair.stem == "caf\u00e9"
    assert len(read_pairs([pair])) == 1


@pytest.mark.parametrize(
    "name", ["夜景 №1", "a:b*?<>|", "CON", "trailing. ", "-flag", "new\nline", "%s{0}"]
)
def test_names_that_other_systems_refuse_are_fine(folders, name):
    a, b = folders
    fill(a, f"{name}.png")
    fill(b, f"{name}.png")
    (pair,) = find_pairs(a, b)
    assert pair.stem == name
    assert len(read_pairs([pair])) == 1


def test_a_folder_that_may_not_be_listed_is_named(folders, monkeypatch):
    """Simulated: the tests may run as root, whom no right stops."""
    a, b = folders

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(PermissionError, match=rf"no permission for {a}; change"):
        find_pairs(a, b)


WIDE = np.zeros((5, 9), np.uint8)
TALL = np.zeros((8, 6), np.uint8)


def test_alignment_is_a_choice(folders):
    a, b = folders
    fill(a, "1.png", picture=WIDE)
    fill(b, "1.png", picture=TALL)
    pairs = find_pairs(a, b)
    with pytest.raises(ValueError, match="or choose align=crop, align=resize"):
        read_pairs(pairs)
    shapes = {
        align: {x.shape for x in read_pairs(pairs, align=align)[0]}
        for align in ("crop", "resize")
    }
    assert shapes == {"crop": {(5, 6)}, "resize": {(5, 9)}}
    with pytest.raises(ValueError, match=r"none, crop, .*, got 'stretch'"):
        read_pairs(pairs, align="stretch")


def test_pairs_are_read_by_a_range_rule(folders):
    a, b = folders
    levels = np.array([[29000, 29500], [30000, 31000]], np.uint16)
    for folder in (a, b):
        fill(folder, "1.png", picture=levels)
    ((read, _),) = read_pairs(find_pairs(a, b), levels="min-max")
    np.testing.assert_array_equal(read, [[0, 64], [128, 255]])
