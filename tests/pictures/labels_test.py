import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.labels import read_labels, shifted_labels


@pytest.mark.parametrize(
    ("values", "written", "labels"),
    [
        ("index", [0, 1, 2], [0, 1, 2]),
        ("shift", [0, 1, 2], [1, 2, 3]),
        ("binary", [0, 255, 255], [1, 2, 2]),
        ("binary", [0, 1, 0], [1, 2, 1]),
    ],
)
def test_labels_are_shifted_past_the_unlabelled_one(values, written, labels):
    made = shifted_labels(np.array([written], np.uint8), values, classes=4)
    assert made.dtype == np.uint8
    assert made.tolist() == [labels]


@pytest.mark.parametrize(
    ("values", "written", "message"),
    [
        ("index", [0, 3], r"labels below 3 \(classes\), got 3 in x.png; raise"),
        ("shift", [0, 2], r"got 3 in x.png \(after shift\)"),
        ("shift", [0, 255], "labels below 255 to add 1 to, got 255 in x.png"),
        ("binary", [0, 7, 255], "binary mask of 0 and 255, got x.png with 0, 7, 255"),
        (
            "colours",
            [0],
            "label_values to be one of index, shift, binary, got 'colours'",
        ),
    ],
)
def test_unknown_labels_are_refused(values, written, message):
    with pytest.raises(ValueError, match=message):
        shifted_labels(np.array([written], np.uint8), values, classes=3, name="x.png")


def test_palettes_are_read_as_indices_and_colours_are_refused(tmp_path):
    picture = Image.new("P", (2, 2))
    picture.putdata([0, 2, 1, 0])
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    picture.save(tmp_path / "p.png")
    assert read_labels(tmp_path / "p.png").tolist() == [[0, 2], [1, 0]]
    Image.new("RGB", (2, 2)).save(tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="grey or of a palette, not RGB"):
        read_labels(tmp_path / "rgb.png")
