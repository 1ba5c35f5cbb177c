"""Arrays as other libraries hand them out: the same picture, or the cause."""

import io

import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.arrays import as_photograph

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
RGB = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
DEEP = GREY.astype(np.uint16) * np.uint16(257)


class Foreign:
    """As a tensor of another library: no array of NumPy's, but NumPy can read it."""

    def __array__(self, dtype=None, copy=None):
        return GREY


class Interface:
    __array_interface__ = GREY.__array_interface__


class OnAnotherDevice:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert a cuda tensor to numpy")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (GREY[::-1][::-1], GREY),
        (np.asfortranarray(RGB), RGB),
        (DEEP.astype(">u2"), DEEP),
        (np.dstack([DEEP + 1] * 3), np.dstack([DEEP + 1] * 3)),
        (np.dstack([DEEP] * 3), np.dstack([GREY] * 3)),
        ((GREY / 255).astype(">f4"), np.float32(GREY / 255)),
        ((GREY / 220).astype(np.float16), np.float32(np.float16(GREY / 220))),
        (np.ma.array(GREY, mask=np.zeros_like(GREY)), GREY),
        (Foreign(), GREY),
        (Interface(), GREY),
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(DEEP), DEEP),
        (Image.fromarray(RGB).convert("CMYK"), RGB),
    ],
)
def test_a_source_is_the_picture_that_it_holds(source, expected):
    pixels = as_photograph(source).pixels
    assert pixels.dtype == expected.dtype
    assert pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, expected)


def test_a_hair_beyond_the_range_is_cut_and_more_is_not():
    hair = np.float32([[-1e-7, 0.5, 1 + 1e-7]])
    np.testing.assert_array_equal(as_photograph(hair).pixels, [[0, 0.5, 1]])
    with pytest.raises(ValueError, match=r"got 0\.0 to 1\.01"):
        as_photograph(np.array([[0, 1.01]]))


def test_the_transparency_of_an_image_is_kept():
    image = Image.fromarray(RGB)
    image.putalpha(Image.fromarray(GREY))
    photograph = as_photograph(image)
    np.testing.assert_array_equal(photograph.pixels, RGB)
    np.testing.assert_array_equal(photograph.alpha, GREY)


def test_the_last_of_four_channels_is_transparency():
    for array, alpha in (
        (np.dstack([RGB, GREY]), GREY),
        (np.dstack([RGB, GREY]) / 255, GREY),
        (np.dstack([RGB, np.full_like(GREY, 255)]), None),
    ):
        photograph = as_photograph(array)
        assert photograph.pixels.shape == RGB.shape
        if alpha is None:
            assert photograph.alpha is None
        else:
            np.testing.assert_array_equal(photograph.alpha, alpha)
    assert as_photograph(np.dstack([GREY, GREY])).pixels.shape == GREY.shape


def test_bytes_and_file_objects_are_read(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(RGB).save(path)
    with path.open("rb") as file:
        for source in (path.read_bytes(), io.BytesIO(path.read_bytes()), file):
            np.testing.assert_array_equal(as_photograph(source).pixels, RGB)
    with pytest.raises(ValueError, match=r"the bytes \(its content is in no supported"):
        as_photograph(b"no picture")
    with pytest.raises(ValueError, match="file object of bytes, got one of str"):
        as_photograph(io.StringIO("text"))


def test_a_memory_map_is_read(tmp_path):
    np.save(tmp_path / "x.npy", GREY)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(as_photograph(mapped).pixels, GREY)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.ma.array(GREY, mask=GREY > 200), "got 1 masked pixels; fill them first"),
        (GREY > 9, r"got bool .*array.astype\(float\)"),
        (
            GREY.astype(np.int64),
            r"got int64 .*numpy.uint8\) if it holds 0 to 255",
        ),
        (GREY.astype(np.uint32), r"got uint32 .*astype\(numpy.uint16\)"),
        (np.zeros((3, 5, 6)), r"move the channels last with numpy\.moveaxis"),
        (np.zeros((1, 5, 6)), r"a batch or a channel of one: pass array\[0\]"),
        (RGB[None], "Fuser.fuse_batch takes batches"),
        (np.where(GREY > 200, np.nan, 0.5), "got 1 values that are NaN or infinite"),
        (GREY.astype(np.float32), r"got 0\.0 to 220\.0; divide it by 255"),
        (GREY * -1.0, r"rescale it to \[0, 1\]"),
        (OnAnotherDevice(), r"got OnAnotherDevice \(can't convert a cuda.*CPU"),
        ([[0, 1]], "got list"),
        (Image.fromarray(GREY.astype(np.int32)), "unsupported type 'I'"),
    ],
)
def test_what_is_no_picture_is_named_with_the_cure(source, message):
    with pytest.raises(ValueError, match=message) as error:
        as_photograph(source)
    assert "\n" not in str(error.value)
