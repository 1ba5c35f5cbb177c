import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.layout import SplitFolders
from refusion_jax.data.prepared import PreparedPairs, open_prepared
from refusion_jax.pictures.codecs import to_luminance

COUNT = 60


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A set of 60 pairs with ground truth, and its pictures."""
    pytest.importorskip(
        "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
    )
    from refusion_jax.data.builder import prepare

    root = tmp_path_factory.mktemp("prepared")
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (3, COUNT, 60, 50, 3), np.uint8)
    folders = SplitFolders(*(root / name for name in ("a", "b", "third")))
    for folder, side in zip(folders, pictures, strict=True):
        folder.mkdir()
        for i, picture in enumerate(side):
            Image.fromarray(picture).save(folder / f"{i:02}.png")
    target = prepare("folder", root, folders={"train": folders}, progress=False)
    return target, pictures


@pytest.fixture
def damaged(prepared, tmp_path):
    """A copy of the set, and its shard, to be spoilt."""
    copy = tmp_path / "1.0.0"
    copy.mkdir()
    for path in prepared[0].iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (shard,) = copy.glob("*array_record*")
    return copy, shard


def test_pairs_are_read_in_order_as_luminance(prepared):
    target, (side_a, side_b, side_third) = prepared
    pairs = PreparedPairs(target, "train")
    assert len(pairs) == COUNT
    assert pairs.sizes == [(60, 50)] * COUNT
    for i in (0, 7, COUNT - 1):
        for read, picture in zip(pairs[i], (side_a[i], side_b[i]), strict=True):
            np.testing.assert_array_equal(read, to_luminance(picture))
        np.testing.assert_array_equal(pairs.third(i), side_third[i])
        assert pairs.record(i)["stem"] == f"{i:02}"
    for beyond in (COUNT, -1):
        with pytest.raises(IndexError):
            pairs[beyond]


def test_an_opened_set_can_be_sent_to_another_process(prepared):
    pairs = PreparedPairs(prepared[0], "train")
    sent = pickle.loads(pickle.dumps(pairs))
    np.testing.assert_array_equal(sent[3], pairs[3])


def test_what_is_not_there_is_named(prepared, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"got none at .*msrs; make it with refusion prepare"
    ):
        open_prepared(tmp_path, "msrs")
    with pytest.raises(
        ValueError, match=r"expected a split of .* 'test'; choose train"
    ):
        PreparedPairs(prepared[0], "test")


def test_a_crop_that_does_not_fit_is_refused(prepared):
    pairs = PreparedPairs(prepared[0], "train")
    pairs.require_minimum(50)
    with pytest.raises(ValueError, match="crop's 51x51 pixels, got 00 of 50x60"):
        pairs.require_minimum(51)


def truncated(content):
    return content[: len(content) // 2]


def without_an_end(content):
    return content[:-5000]


def empty(content):
    return b""


def with_a_hole(content):
    middle = len(content) // 2
    return content[:middle] + bytes(50) + content[middle + 50 :]


def with_a_flipped_bit(content):
    third = len(content) // 3
    return content[:third] + bytes([content[third] ^ 1]) + content[third + 1 :]


@pytest.mark.parametrize(
    "spoil", [truncated, without_an_end, empty, with_a_hole, with_a_flipped_bit]
)
def test_a_damaged_shard_is_reported_as_such(damaged, spoil):
    """Never as a broken picture, and no pair of it comes out wrong."""
    copy, shard = damaged
    intact = PreparedPairs(copy, "train")
    expected = [intact[i] for i in range(COUNT)]
    shard.write_bytes(spoil(shard.read_bytes()))
    messages = []
    try:
        pairs = PreparedPairs(copy, "train")
        for i in range(COUNT):
            try:
                np.testing.assert_array_equal(pairs[i], expected[i])
            except ValueError as error:
                messages.append(str(error))
    except ValueError as error:
        messages.append(str(error))
    assert messages
    for message in messages:
        assert message.startswith("expected an intact prepared set, got the damaged fi")
        assert shard.name in message and "prepare it again" in message
        assert "picture" not in message and "\n" not in message


def test_a_missing_shard_is_named(damaged):
    copy, shard = damaged
    shard.unlink()
    with pytest.raises(ValueError, match=rf"damaged file {shard.name} in {copy}"):
        PreparedPairs(copy, "train")[0]


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
def test_damaged_facts_are_reported(damaged, name):
    copy, _ = damaged
    (copy / name).write_text("{")
    with pytest.raises(
        ValueError, match=r"damaged file .*\.json in .*prepare it again"
    ):
        PreparedPairs(copy, "train")


def test_a_record_that_holds_no_picture_is_a_damaged_shard(prepared, monkeypatch):
    """Pictures were good when they were prepared."""
    pairs = PreparedPairs(prepared[0], "train")
    good = dict(pairs._records[5])
    for content in (b"", good["source_a"][:500]):
        monkeypatch.setattr(pairs, "_records", {5: good | {"source_a": content}})
        with pytest.raises(ValueError, match="got the damaged file fusion_pairs-train"):
            pairs[5]


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = """
import sys, refusion_jax, refusion_jax.training.trainer
import refusion_jax.data.prepared, refusion_jax.data.catalogue
heavy = {"tensorflow_datasets", "array_record", "grain", "skimage", "tensorflow"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
