from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.patches import find_patches
from refusion_jax.data.sources import fingerprint, in_order, sizes_of
from refusion_jax.data.training_pairs import open_training_pairs


@pytest.fixture
def sides(tmp_path):
    """Two folders, as flags; the second picture of b has another size."""
    generator = np.random.default_rng(0)
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for stem, size in (("1", (40, 50)), ("2", (30, 45))):
            height, width = size
            if side + stem == "b2":
                height += 2
            pixels = generator.integers(0, 256, (height, width), np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{stem}.png")
    return {
        "source_a": str(tmp_path / "a"),
        "source_b": str(tmp_path / "b"),
        "data_dir": str(tmp_path / "data"),
        "align": "crop",
        "crop_size": 16,
    }


def test_a_prepared_folder_holds_the_same_pairs_as_the_folder(sides):
    pytest.importorskip(
        "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
    )
    read = open_training_pairs(**sides)
    prepared = open_training_pairs(**sides, dataset="folder")
    assert sizes_of(prepared) == sizes_of(read) == [(40, 50), (30, 45)]
    assert fingerprint(prepared) == fingerprint(read)
    for one, other in zip(in_order(prepared), read, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_folder_is_not_prepared_again_for_its_masks_or_its_scene(sides, tmp_path):
    builder = pytest.importorskip(
        "refusion_jax.data.builder",
        exc_type=ImportError,
        reason="tensorflow-datasets is in the extra `data`",
    )
    (tmp_path / "masks").mkdir()
    for stem, size in (("1", (50, 40)), ("2", (45, 30))):
        Image.new("L", size, 255).save(tmp_path / "masks" / f"{stem}.png")
    sides["labels"] = str(tmp_path / "masks")
    names = (sides[name] for name in ("source_a", "source_b", "labels"))
    target = builder.prepare(
        "folder",
        tmp_path / "data",
        folders={"train": builder.SplitFolders(*map(Path, names))},
        reading=builder.Reading("crop", scene="(.)"),
        progress=False,
    )
    pairs = open_training_pairs(**sides, dataset="folder", label_values="binary")
    assert np.unique(pairs[1][2]).tolist() == [2]  # 255 is the second class
    assert open_training_pairs(**sides, dataset="folder").directory == target
    assert len(list((tmp_path / "data").iterdir())) == 1
    with pytest.raises(ValueError, match=r"align='crop', with which .* got 'none'"):
        open_training_pairs(**sides | {"align": "none"}, dataset="folder")


def test_patches_have_the_size_of_the_crops(sides):
    pairs = open_training_pairs(**sides)
    patched = open_training_pairs(**sides, patches=True)
    assert len(patched) == len(find_patches(pairs, size=16)) == 2
    assert set(sizes_of(patched)) == {(16, 16)}
    np.testing.assert_array_equal(patched[0][1], pairs[0][1][:16, :16])


@pytest.mark.parametrize("dataset", ["", "folder"])
def test_a_crop_that_does_not_fit_is_refused(sides, dataset):
    if dataset:
        pytest.importorskip(
            "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
        )
    with pytest.raises(ValueError, match=r"crop's 31x31 pixels, got .*2.* of 45x30"):
        open_training_pairs(**sides | {"crop_size": 31}, dataset=dataset)


def test_what_cannot_be_meant_is_refused(tmp_path):
    for flags, message in (
        ({}, "a data set or two folders of pictures, got neither; name a data"),
        ({"source_a": "x"}, "got one folder"),
        ({"dataset": "folder"}, "got neither"),
        ({"dataset": "msrs", "source_a": "x"}, "expected no folders with the data set"),
        ({"dataset": "imagenet"}, "expected a data set of the catalogue"),
    ):
        with pytest.raises(ValueError, match=message):
            open_training_pairs(**flags)
    with pytest.raises(FileNotFoundError, match=r"make it with refusion prepare\."):
        open_training_pairs(dataset="msrs", data_dir=str(tmp_path))


def test_several_folders_are_sets_that_count_alike(sides, tmp_path):
    for side in "ab":
        (tmp_path / f"more_{side}").mkdir()
        Image.new("L", (20, 16), 9).save(tmp_path / f"more_{side}" / "1.png")
    sides["source_a"] += f",{tmp_path / 'more_a'}"
    with pytest.raises(ValueError, match=r"as many folders .*, got 2 and 1; name them"):
        open_training_pairs(**sides)
    sides["source_b"] += f",{tmp_path / 'more_b'}"
    pairs = open_training_pairs(**sides)
    assert sizes_of(pairs) == [(40, 50), (30, 45), (16, 20)]
    assert pairs.repeats == [1, 1, 2]
