"""Labels travel with their pairs through every way to a batch, never interpolated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.batches import open_batches
from refusion_jax.data.crops import Cutting, epoch_order
from refusion_jax.data.sources import LabelledPairs, fingerprint
from refusion_jax.data.training_pairs import open_training_pairs, with_prepared_labels
from refusion_jax.devices.data_parallel import batch_mesh
from refusion_jax.methods.protocol import Draw, Stage

SIZES = [(12, 14), (16, 11), (13, 13)]


@pytest.fixture
def folders(tmp_path):
    """Three pairs whose labels are a function of source a: its parity."""
    rng = np.random.default_rng(0)
    for index, (height, width) in enumerate(SIZES):
        a, b = rng.integers(0, 256, (2, height, width), np.uint8)
        pictures = {"a": a, "b": b, "mask": a % 2 * np.uint8(255)}
        for name, picture in pictures.items():
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / name / f"{index}.png")
    names = {"source_a": "a", "source_b": "b", "labels": "mask"}
    return {name: str(tmp_path / folder) for name, folder in names.items()}


def labelled(folders, **values):
    values = {"label_values": "binary", "classes": 3, "crop_size": 8, **values}
    return open_training_pairs(**folders, **values)


@pytest.mark.parametrize("memory_budget", [1e9, 0])
def test_crops_of_labels_are_those_of_their_pictures(folders, memory_budget):
    """On the device and streamed: flips, turns and places are the same."""
    pairs = labelled(folders)
    batches = open_batches(
        pairs,
        Cutting(4, 8, augment=True),
        memory_budget=memory_budget,
        reader_count=0,
        put=lambda tree: tree,
        mesh=batch_mesh(1),
    )
    key, stage = jax.random.key(1), Stage("s", 2, (Draw("x", 3, "all"),))
    pixels = batches.pixels(key, stage, epoch=0, start=0, length=2)
    for step in range(2):
        batch = batches.draw(
            pixels,
            key,
            stage.draws[0],
            order=epoch_order(key, 0, [1] * 3),
            epoch=jnp.asarray(0),
            step=jnp.asarray(step),
            first=jnp.asarray(0),
        )
        levels = np.rint(np.asarray(batch.source_a)[..., 0] * 255).astype(int)
        assert batch.third.dtype == np.uint8
        np.testing.assert_array_equal(batch.third, levels % 2 + 1)


def test_patches_of_labels_are_those_of_their_pictures(folders):
    pairs = labelled(folders, patches=True)
    for index in range(len(pairs)):
        a, _, labels = pairs[index]
        np.testing.assert_array_equal(labels, a % 2 + 1)


def test_pairs_without_labels_stay_as_they_were(folders):
    pairs = labelled(folders, label_values="")
    assert len(pairs[0]) == 2
    a, b, _ = labelled(folders)[0]
    np.testing.assert_array_equal([a, b], pairs[0])


def test_other_labels_make_another_run(folders):
    pairs = labelled(folders)
    other = LabelledPairs(pairs, [""] * 3, lambda i: np.ones(SIZES[i], np.uint8))
    assert fingerprint(pairs) != fingerprint(other)


def test_labels_of_another_size_are_refused(folders):
    Image.new("L", (5, 6)).save(f"{folders['labels']}/1.png")
    with pytest.raises(ValueError, match=r"pair's 11x16 pixels, got .*1\.png of 5x6"):
        labelled(folders)


def test_missing_labels_are_refused(folders):
    message = "labels with source_a and source_b, got none; name their folder"
    with pytest.raises(ValueError, match=message):
        labelled({**folders, "labels": ""})


def test_prepared_sets_bring_their_labels():
    class Prepared(list):
        directory = "SET"

        def third(self, index):
            return None if index else np.array([[0, 255]], np.uint8)

        def record(self, index):
            return {"stem": f"picture {index}"}

    pair = (np.zeros((1, 2), np.uint8),) * 2
    made = with_prepared_labels(Prepared([pair]), values="binary")
    assert made[0][2].tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="every pair of SET, got none with picture 1"):
        with_prepared_labels(Prepared([pair, pair]), values="binary")
