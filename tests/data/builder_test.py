import csv
import re
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.catalogue import facts_of
from refusion_jax.data.layout import SplitFolders
from refusion_jax.data.pairs import find_pairs
from refusion_jax.data.prepared import PreparedPairs, open_prepared
from refusion_jax.data.sources import fingerprint, in_order
from refusion_jax.pictures.codecs import decode_picture, to_luminance

tfds = pytest.importorskip(
    "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
)
# After the line above, which skips where it cannot be imported.
from refusion_jax.data import builder  # noqa: E402
from refusion_jax.data.builder import (  # noqa: E402
    FusionPairs,
    Reading,
    prepare,
    read_summary,
)

GENERATOR = np.random.default_rng(0)


def noise(*shape):
    return GENERATOR.integers(0, 256, shape or (40, 50, 3), np.uint8)


@pytest.fixture
def folders(tmp_path):
    for name in ("a", "b", "third"):
        (tmp_path / "own" / name).mkdir(parents=True)
    return SplitFolders(tmp_path / "own" / "a", tmp_path / "own" / "b")


def fill(folders, *names, picture=None):
    for folder in folders:
        for name in names if folder else ():
            fresh = noise() if picture is None else picture
            Image.fromarray(fresh).save(folder / name)


def prepare_own(tmp_path, folders, **options):
    target = prepare(
        "folder",
        tmp_path / "data",
        folders={"train": folders},
        progress=False,
        **options,
    )
    return target, read_summary(target)["splits"]["train"]


# Where a data set of the shared material goes: its config, or the folders of its sides.
CONFIGS = {
    "ivif/msrs": "msrs",
    "ivif/roadscene": "roadscene",
    "mif/harvard_ct": "harvard_ct",
    "mif/harvard_pet": "harvard_pet",
    "mif/harvard_spect": "harvard_spect",
    "mfif/lytro": "lytro",
    "meif/sice512": "sice",
    "meif/mefb": "mefb",
}
OWN_FOLDERS = {
    "mfif/mfvoc": ("near", "far"),
    "mfif/nyud": ("near", "far", "gt"),
    "segmentation/msrs": ("infrared", "visible", "mask"),
}


def test_all_shared_material_is_prepared_as_it_is(shared, tmp_path):
    """Counts and stems of INDEX.csv; bytes of the files; pixels of Pillow."""
    root = shared("data")
    index = defaultdict(list)
    with (root / "INDEX.csv").open() as file:
        for row in csv.DictReader(file):
            name = f"{row['task']}/{row['dataset']}"
            index[name, row["split"]].append(row["id"])
    assert {name for name, _ in index} == {*CONFIGS, *OWN_FOLDERS}
    for (name, split), stems in index.items():
        if name in CONFIGS:
            sides = {"source_dir": root / name}
        else:
            folders = (root / name / split / side for side in OWN_FOLDERS[name])
            sides = {"folders": {split: SplitFolders(*folders)}}
        target = prepare(CONFIGS.get(name, "folder"), tmp_path, progress=False, **sides)
        summary = read_summary(target)
        assert summary["splits"][split]["skipped"] == []
        assert summary["leaks"] == []
        pairs = PreparedPairs(target, split)
        assert [pairs.record(i)["stem"] for i in range(len(pairs))] == sorted(stems)
        assert_same_pixels(pairs, name, root / name / split)


def assert_same_pixels(pairs, name, folder):
    names = OWN_FOLDERS.get(name)
    if names is None:
        facts = facts_of(CONFIGS[name])
        names = (facts.sources_a[0], facts.sources_b[0])
    for i in range(len(pairs)):
        record = pairs.record(i)
        paths = [next((folder / side).glob(f"{record['stem']}.*")) for side in names]
        for key, path in zip(("source_a", "source_b", "third"), paths, strict=False):
            assert record[key] == path.read_bytes()
        if len(paths) == 2:
            assert record["third"] == b""
        if i % 8:
            continue  # the bytes are equal, so decoding a part is enough
        for read, path in zip(pairs[i], paths, strict=False):
            with Image.open(path) as image:
                pillow = np.asarray(image)
            np.testing.assert_array_equal(read, to_luminance(pillow))
            assert pairs.sizes[i] == read.shape
        if len(paths) > 2:
            with Image.open(paths[2]) as image:
                np.testing.assert_array_equal(pairs.third(i), np.asarray(image))


KINDS = {
    "grey.png": lambda: Image.fromarray(noise(40, 50)),
    "grey_alpha.png": lambda: Image.fromarray(noise(40, 50)).convert("LA"),
    "rgb.png": lambda: Image.fromarray(noise()),
    "rgba.png": lambda: Image.fromarray(noise()).convert("RGBA"),
    "palette.png": lambda: Image.fromarray(noise()).quantize(16),
    "deep.png": lambda: Image.fromarray(noise(40, 50).astype(np.uint16) * 200),
    "bits.png": lambda: Image.fromarray(noise(40, 50)).convert("1"),
    "photo.jpg": lambda: Image.fromarray(noise()),
    "print.jpg": lambda: Image.fromarray(noise()).convert("CMYK"),
    "scan.tif": lambda: Image.fromarray(noise()),
    "thermal.tif": lambda: Image.fromarray(noise(40, 50).astype(np.uint16) * 200),
    "old.bmp": lambda: Image.fromarray(noise()),
    "web.webp": lambda: Image.fromarray(noise()),
    "moving.gif": lambda: Image.fromarray(noise()).quantize(16),
}


def test_every_kind_of_file_is_prepared(tmp_path, folders):
    for folder in folders[:2]:
        for name, make in KINDS.items():
            make().save(folder / name)
    turned = Image.Exif()
    turned[0x0112] = 6
    for folder in folders[:2]:
        Image.fromarray(noise(50, 40, 3)).save(folder / "turned.png", exif=turned)
    target, summary = prepare_own(tmp_path, folders)
    assert summary["skipped"] == []
    pairs = PreparedPairs(target, "train")
    assert pairs.sizes == [(40, 50)] * (len(KINDS) + 1)
    for i in range(len(pairs)):
        stem = pairs.record(i)["stem"]
        for read, folder in zip(pairs[i], folders[:2], strict=True):
            path = next(folder.glob(f"{stem}.*"))
            expected = to_luminance(decode_picture(path.read_bytes(), stem))
            np.testing.assert_array_equal(read, expected)


def test_names_that_other_systems_refuse_are_prepared(tmp_path, folders):
    stems = ["夜景 №1", "a:b*?", "CON", "trailing. ", "new\nline", "a.b", "%s"]
    fill(folders, *(f"{stem}.png" for stem in stems))
    raw = b"\xff\xfe.png".decode("utf-8", "surrogateescape")  # no text in any encoding
    for folder in folders[:2]:
        (folder / raw).write_bytes((folder / "CON.png").read_bytes())
    target, _ = prepare_own(tmp_path, folders)
    pairs = PreparedPairs(target, "train")
    found = {pairs.record(i)["stem"] for i in range(len(pairs))}
    assert found == {*stems, raw.removesuffix(".png")}


def broken(kind, folder):
    """Spoils b of pair 2."""
    path = folder / "2.png"
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no picture":
        path.write_bytes(b"<html>404 Not Found</html>")
    elif kind == "unpaired":
        path.unlink()
    elif kind == "bomb":
        Image.fromarray(noise(300, 300)).save(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", r"b/2\.png \(.*truncated"),
        ("empty", r"the empty file .*b/2\.png"),
        ("no picture", r"b/2\.png \(HTML or XML text, not a picture"),
        ("unpaired", r"a/2\.png: no partner in .*b"),
        ("bomb", r"moderate size, got .*b/2\.png .*exceeds limit"),
    ],
)
def test_a_broken_file_is_skipped_with_its_reason(
    tmp_path, folders, kind, reason, monkeypatch
):
    fill(folders, "1.png", "2.png", "3.png")
    broken(kind, folders.second)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 50)
    target, summary = prepare_own(tmp_path, folders)
    assert summary["pairs"] == 2
    (said,) = summary["skipped"]
    assert re.search(reason, said) and "\n" not in said
    pairs = PreparedPairs(target, "train")
    assert [pairs.record(i)["stem"] for i in range(2)] == ["1", "3"]


def test_a_set_without_one_good_pair_is_refused(tmp_path, folders):
    fill(folders, "2.png")
    broken("truncated", folders.second)
    with pytest.raises(ValueError, match=r"one readable pair in train.*2\.png"):
        prepare_own(tmp_path, folders)
    assert not list(tmp_path.glob("data/**/dataset_info.json"))


def test_two_sizes_are_refused_until_the_user_chooses(tmp_path, folders):
    fill(folders, "1.png")
    Image.fromarray(noise(44, 48, 3)).save(folders.second / "1.png")
    with pytest.raises(ValueError, match="align=crop, align=resize") as error:
        prepare_own(tmp_path, folders)
    for folder, size in zip(folders[:2], ("50x40", "48x44"), strict=True):
        assert f"{folder / '1.png'} of {size}" in str(error.value)
    for align, size in (("crop", (40, 48)), ("resize", (40, 50))):
        target, summary = prepare_own(
            tmp_path, folders, reading=Reading(align=align), overwrite=True
        )
        assert summary["sizes"] == [list(size)]
        assert {x.shape for x in PreparedPairs(target, "train")[0]} == {size}
    with pytest.raises(ValueError, match="resize-largest, register, got 'fit'"):
        Reading(align="fit")


def test_one_stem_with_two_endings_is_refused(tmp_path, folders):
    fill(folders, "1.png", "1.jpg")
    with pytest.raises(ValueError, match=r"one picture per stem .*1\.jpg and 1\.png"):
        prepare_own(tmp_path, folders)


def test_a_mask_of_another_size_is_refused(tmp_path, folders):
    folders = folders._replace(third=folders.first.parent / "third")
    fill(folders, "1.png")
    Image.fromarray(noise(44, 48)).save(folders.third / "1.png")
    with pytest.raises(ValueError, match=r"a/1\.png of 50x40 and .*third/1\.png of 48"):
        prepare_own(tmp_path, folders)


def test_16_bit_grey_is_read_by_the_rule_it_was_prepared_with(tmp_path, folders):
    levels = np.linspace(29000, 31000, 2000).reshape(40, 50).astype(np.uint16)
    fill(folders, "1.png", picture=levels)
    target, _ = prepare_own(tmp_path, folders, reading=Reading(levels="min-max"))
    read, _ = PreparedPairs(target, "train")[0]
    assert (read.min(), read.max()) == (0, 255)


def test_train_and_test_that_share_pictures_are_reported(tmp_path, folders):
    fill(folders, "1.png", "2.png")
    other = SplitFolders(*(tmp_path / "test" / side for side in "ab"))
    for folder, source in zip(other[:2], folders[:2], strict=True):
        folder.mkdir(parents=True)
        (folder / "9.png").write_bytes((source / "1.png").read_bytes())
    target = prepare(
        "folder",
        tmp_path / "data",
        folders={"train": folders, "test": other},
        progress=False,
    )
    assert read_summary(target)["leaks"] == [
        "the same picture is in train (1) and test (9)"
    ]


def test_the_same_set_is_prepared_once(tmp_path, folders, monkeypatch):
    fill(folders, "1.png")
    target, summary = prepare_own(tmp_path, folders)
    monkeypatch.setattr(FusionPairs, "download_and_prepare", None)
    assert prepare_own(tmp_path, folders) == (target, summary)


def test_the_fingerprint_is_that_of_the_pixels(tmp_path, folders):
    fill(folders, "1.png", "2.png")
    target, summary = prepare_own(tmp_path, folders)
    pairs = PreparedPairs(target, "train")
    assert (
        pairs.fingerprint == summary["fingerprint"] == fingerprint([*in_order(pairs)])
    )


def test_other_files_or_settings_need_a_word(tmp_path, folders):
    fill(folders, "1.png")
    target, _ = prepare_own(tmp_path, folders)
    with pytest.raises(
        ValueError, match=r"expected align='none', with which .* 'crop'"
    ):
        prepare_own(tmp_path, folders, reading=Reading(align="crop"))
    fill(folders, "2.png")
    with pytest.raises(ValueError, match="was prepared, got others; prepare with over"):
        prepare_own(tmp_path, folders)
    again, summary = prepare_own(tmp_path, folders, overwrite=True)
    assert again == target
    assert summary["pairs"] == 2


def test_an_interruption_leaves_nothing_and_the_next_run_begins_anew(
    tmp_path, folders, monkeypatch
):
    fill(folders, "1.png", "2.png")
    decode = builder.decode_picture

    def interrupt(content, name, **options):
        if name.endswith("2.png"):
            raise KeyboardInterrupt
        return decode(content, name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builder, "decode_picture", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare_own(tmp_path, folders)
    (config,) = tmp_path.glob("data/*/fusion_pairs/folder")
    assert list(config.iterdir()) == []
    # What kill -9 leaves.
    leftover = config / "incomplete.ABCDEF_1.0.0"
    leftover.mkdir()
    (leftover / "shard").write_bytes(b"half")
    _, summary = prepare_own(tmp_path, folders)
    assert summary["pairs"] == 2
    assert [path.name for path in config.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("name", ["metadata.json", "dataset_info.json"])
def test_a_damaged_set_is_not_taken_for_prepared(tmp_path, folders, name):
    fill(folders, "1.png")
    target, summary = prepare_own(tmp_path, folders)
    for spoil in (lambda path: path.write_text("{"), lambda path: path.unlink()):
        spoil(target / name)
        with pytest.raises(ValueError, match=r"damaged metadata in .*with --overwrite"):
            prepare_own(tmp_path, folders)
        assert prepare_own(tmp_path, folders, overwrite=True) == (target, summary)


def test_two_pairs_of_folders_do_not_meet(tmp_path, folders):
    fill(folders, "1.png")
    swapped = SplitFolders(folders.second, folders.first)
    assert prepare_own(tmp_path, folders)[0] != prepare_own(tmp_path, swapped)[0]


def test_the_demo_pairs_are_a_set_of_the_builder(tmp_path, monkeypatch):
    pytest.importorskip("skimage", reason="scikit-image is in the extra `demo`")
    write_demo_pairs = builder.write_demo_pairs
    made = []

    def write_and_count(folder):
        write_demo_pairs(folder)
        for split in ("train", "test"):
            made.append(len(find_pairs(folder / split / "a", folder / split / "b")))

    monkeypatch.setattr(builder, "write_demo_pairs", write_and_count)
    target = prepare("demo", tmp_path, progress=False)
    summary = read_summary(target)
    assert [summary["splits"][split]["pairs"] for split in ("train", "test")] == made
    assert summary["leaks"] == []
    assert len(open_prepared(tmp_path, "demo", "test")) == made[1]
    assert prepare("demo", tmp_path, progress=False) == target
    assert len(made) == 2  # the second time they were there


def test_nothing_to_prepare_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got no folder to read; get .*github"):
        prepare("sice", tmp_path)
    with pytest.raises(FileNotFoundError, match="two folders of pictures, got none"):
        prepare("folder", tmp_path)
    with pytest.raises(ValueError, match="got 'imagenet'"):
        prepare("imagenet", tmp_path)


def test_tfds_users_give_a_manual_directory(tmp_path):
    for split in ("train", "test"):
        for side in ("near", "far"):
            folder = tmp_path / "manual" / split / side
            folder.mkdir(parents=True)
            Image.fromarray(noise()).save(folder / "1.png")
    made = FusionPairs(config="lytro", data_dir=tmp_path / "data")
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
    made.download_and_prepare(download_config=config)
    assert {name: x.num_examples for name, x in made.info.splits.items()} == {
        "train": 1,
        "test": 1,
    }
    assert made.info.metadata["leaks"] == [
        "the same stem 1 is in train (1) and test (1)"
    ]
    assert len(open_prepared(tmp_path / "data", "lytro")) == 1


def test_without_tensorflow_datasets_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "refusion_jax.data.builder")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'refusion-jax\[data\]'"):
        import refusion_jax.data.builder  # noqa: F401


def test_tensorflow_is_not_needed(tmp_path, folders):
    fill(folders, "1.png")
    target, _ = prepare_own(tmp_path, folders)
    PreparedPairs(target, "train")[0]
    assert "tensorflow" not in sys.modules


def test_of_two_that_prepare_together_one_does_and_the_other_waits(
    tmp_path, folders, monkeypatch
):
    fill(folders, "1.png")
    generate, begun, made = builder._generate, threading.Event(), []

    def slowly(own):
        made.append(threading.get_ident())
        begun.set()
        time.sleep(0.2)
        generate(own)

    monkeypatch.setattr(builder, "_generate", slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(prepare_own, tmp_path, folders)
        assert begun.wait(60)
        second = threads.submit(prepare_own, tmp_path, folders)
        assert first.result() == second.result()
    assert len(made) == 1
