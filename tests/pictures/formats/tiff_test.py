"""A matrix of tags, each written by tifffile and read against its plain twin."""

import itertools
import struct

import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.codecs import decode_picture, read_picture
from refusion_jax.pictures.formats import tiff
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import count_pages, read_photograph

tifffile = pytest.importorskip(
    "tifffile", reason="tifffile is absent; pip install 'refusion-jax[tiff]'"
)

HEIGHT, WIDTH = 7, 5
RNG = np.random.default_rng(3)
COMPRESSIONS = [None, "zlib", "lzw"]
# How a picture is stored so that the orientation's tag makes it upright again, as the
# tag's definition says: where its row 0 and its column 0 are seen.
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: np.swapaxes(x, 0, 1),
    6: lambda x: np.rot90(x),
    7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2),
    8: lambda x: np.rot90(x, -1),
}


def write(path, pixels, orientation=1, planar="contig", **options):
    """Writes a picture, turned so that its tag turns it back."""
    stored = np.ascontiguousarray(STORED[orientation](pixels))
    if planar == "separate" and stored.ndim == 3:
        stored = np.moveaxis(stored, -1, 0)
        options["planarconfig"] = "separate"
    elif stored.ndim == 3:
        options["planarconfig"] = "contig"
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(path, stored, extratags=tags, metadata=None, **options)
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
def test_tags_of_a_picture_give_its_twin(tmp_path, photometric, dtype, compression):
    """Orientation, planes, byte order, tiles: 96 files, by path and by content."""
    shape = (HEIGHT, WIDTH, 3) if photometric == "rgb" else (HEIGHT, WIDTH)
    twin = RNG.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    stored = np.iinfo(dtype).max - twin if photometric == "miniswhite" else twin
    planes = ["contig", "separate"] if photometric == "rgb" else ["contig"]
    layouts = [{}, {"tile": (16, 16)}]
    for orientation, planar, order, layout in itertools.product(
        STORED, planes, "<>", layouts
    ):
        path = write(
            tmp_path / "x.tif",
            stored,
            orientation,
            planar,
            photometric=photometric,
            compression=compression,
            byteorder=order,
            **layout,
        )
        read = read_photograph(path)
        where = f"orientation {orientation}, {planar}, {order}, {layout}"
        assert read.pixels.dtype == dtype, where
        np.testing.assert_array_equal(read.pixels, twin, where)
        decoded = decode_picture(path.read_bytes(), "x")
        np.testing.assert_array_equal(decoded, read_picture(path), where)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "uint32", "float32", "float64"]
)
def test_measured_values_come_as_they_are(tmp_path, dtype, compression, orientation):
    if dtype.startswith("float"):
        twin = RNG.uniform(-1e4, 1e4, (HEIGHT, WIDTH)).astype(dtype)
    else:
        bounds = np.iinfo(dtype)
        twin = RNG.integers(bounds.min, bounds.max, (HEIGHT, WIDTH)).astype(dtype)
    path = write(
        tmp_path / "x.tif",
        twin,
        orientation,
        photometric="minisblack",
        compression=compression,
    )
    read = read_photograph(path).pixels
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, twin.astype(np.float64))


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_deep_white_that_is_zero_is_the_highest_level(tmp_path, dtype, compression):
    """As of 16 bits; where there is no data is told by the levels as stored."""
    white = np.iinfo(dtype).max
    stored = RNG.integers(0, 1 << 31, (HEIGHT, WIDTH)).astype(dtype)
    stored[0, :3] = 0, white, 7
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path,
        stored,
        photometric="miniswhite",
        compression=compression,
        metadata=None,
        extratags=[(42113, "s", 0, "7", True)],
    )
    with pytest.warns(PictureWarning, match="has 1 pixels without data"):
        read = read_photograph(path)
    twin = np.array([[float(white - int(x)) for x in row] for row in stored])
    twin[0, 2] = 0  # the lowest, of the pixel beside it
    np.testing.assert_array_equal(read.pixels, twin)
    assert np.argwhere(read.alpha == 0).tolist() == [[0, 2]]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float32", "float64"])
def test_white_that_is_zero_means_nothing_for_signed_values(tmp_path, dtype):
    twin = RNG.integers(-99, 99, (HEIGHT, WIDTH)).astype(dtype)
    path = write(tmp_path / "x.tif", twin, photometric="miniswhite")
    with pytest.warns(
        PictureWarning, match=r"x\.tif says that white is zero, but has signed"
    ):
        read = read_photograph(path).pixels
    np.testing.assert_array_equal(read, twin)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("photometric", [0, 1])
def test_few_bits_reach_black_and_white(tmp_path, bits, photometric, orientation):
    pytest.importorskip("imagecodecs")
    levels = RNG.integers(0, 1 << bits, (HEIGHT, WIDTH)).astype(np.uint8)
    path = write(
        tmp_path / "x.tif",
        levels,
        orientation,
        photometric=photometric,
        bitspersample=bits,
    )
    white = (1 << bits) - 1
    twin = (white - levels if photometric == 0 else levels) * (255 // white)
    np.testing.assert_array_equal(read_photograph(path).pixels, twin)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("orientation", [1, 8])
def test_white_of_few_more_than_8_bits_is_white(
    tmp_path, bits, photometric, orientation
):
    pytest.importorskip("imagecodecs")
    white = (1 << bits) - 1
    levels = RNG.integers(0, white + 1, (HEIGHT, WIDTH)).astype(np.uint16)
    levels[0, :2] = 0, white
    path = write(
        tmp_path / "x.tif",
        levels,
        orientation,
        photometric=photometric,
        bitspersample=bits,
    )
    expected = (white - levels if photometric == 0 else levels) / white
    read = read_photograph(path).pixels
    assert read.dtype == np.uint16
    np.testing.assert_allclose(read / 65535, expected, atol=0.6 / 65535)


@pytest.mark.parametrize("factor", [257, 256, 1], ids=["x257", "x256", "of 8 bits"])
@pytest.mark.parametrize("orientation", [1, 5])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_palette_becomes_its_colours(tmp_path, factor, orientation, compression):
    indices = RNG.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    colours = RNG.integers(0, 256, (3, 256)).astype(np.uint16)
    path = write(
        tmp_path / "x.tif",
        indices,
        orientation,
        photometric="palette",
        colormap=colours * np.uint16(factor),
        compression=compression,
    )
    read = read_photograph(path).pixels
    np.testing.assert_array_equal(read, colours.T[indices])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_straight", [True, False])
@pytest.mark.parametrize("orientation", [1, 7])
def test_alpha_is_kept_and_divided_out(
    tmp_path, channels, dtype, planar, is_straight, orientation
):
    white = np.iinfo(dtype).max
    twin = RNG.integers(0, white + 1, (HEIGHT, WIDTH, channels)).astype(dtype)
    alpha = RNG.integers(white // 2, white + 1, (HEIGHT, WIDTH)).astype(dtype)
    stored = twin if is_straight else np.rint(twin * (alpha[..., None] / white))
    path = write(
        tmp_path / "x.tif",
        np.dstack([stored, alpha]).astype(dtype),
        orientation,
        planar,
        photometric="rgb" if channels == 3 else "minisblack",
        extrasamples=["unassalpha" if is_straight else "assocalpha"],
    )
    read = read_photograph(path)
    np.testing.assert_array_equal(read.alpha, alpha)
    close = 0 if is_straight else 2  # of a product rounded to integers
    difference = np.abs(read.pixels - np.squeeze(twin).astype(int)).max()
    assert difference <= close


PAGES = RNG.integers(0, 65536, (3, HEIGHT, WIDTH)).astype(np.uint16)


@pytest.mark.parametrize("tag", [(254, 1), (254, 4), (255, 2)])
@pytest.mark.parametrize("place", [0, 1])
def test_a_preview_or_a_mask_is_not_the_picture(tmp_path, tag, place):
    preview = np.zeros((2, 2), np.uint16)
    code, value = tag
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        for number in range(2):
            is_preview = number == place
            options = {"photometric": "minisblack", "metadata": None}
            if is_preview and tag == (254, 1):
                options["subfiletype"] = value
            elif is_preview:
                options["extratags"] = [(code, "H", 1, value, True)]
            writer.write(preview if is_preview else PAGES[0], **options)
    read = read_photograph(tmp_path / "x.tif").pixels
    np.testing.assert_array_equal(read, PAGES[0])


RAW = {"photometric": 32803, "metadata": None}  # colour filters, one value a pixel
DNG = (50706, "B", 4, (1, 4, 0, 0), True)


def canon():
    """A preview of 2 x 2 pixels, by hand: CR stands where others have the first tag."""
    pixels = 16 + 2 + 8 * 12 + 4  # where they begin
    tags = {256: 2, 257: 2, 258: 8, 259: 1, 262: 1, 273: pixels, 278: 2, 279: 4}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, x) for tag, x in tags.items())
    head = struct.pack("<4sI4sI", b"II*\0", 16, b"CR\2\0", 0)
    return head + struct.pack("<H", len(tags)) + table + bytes(4) + b"\1\2\3\4"


@pytest.mark.parametrize("kind", ["NEF", "DNG", "DNG without a preview", "CR2"])
def test_a_preview_of_a_cameras_raw_file_is_not_the_picture(tmp_path, kind):
    path = tmp_path / "x.tif"
    preview = np.zeros((4, 6, 3), np.uint8)
    extra = {"extratags": [DNG]} if "DNG" in kind else {}
    if kind == "CR2":
        path.write_bytes(canon())
    else:
        with tifffile.TiffWriter(path) as writer:
            if "without" not in kind:
                options = {"photometric": "rgb", "subifds": 1, "subfiletype": 1}
                writer.write(preview, metadata=None, **options, **extra)
                extra = {}
            writer.write(PAGES[0], **RAW, **extra)
    with pytest.raises(ValueError, match=r"a camera's raw file, to be developed first"):
        read_photograph(path)


def test_a_picture_with_smaller_copies_in_sub_files_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        options = {"photometric": "minisblack", "metadata": None}
        writer.write(PAGES[0], subifds=1, **options)
        writer.write(PAGES[0][::2, ::2], subfiletype=1, **options)
    np.testing.assert_array_equal(read_photograph(tmp_path / "x.tif").pixels, PAGES[0])


def test_pages_are_counted_named_and_read_one_by_one(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, PAGES, photometric="minisblack", metadata=None)
    with pytest.warns(PictureWarning, match=r"x\.tif has 3 pages; the first is fused"):
        first = read_photograph(path).pixels
    np.testing.assert_array_equal(first, PAGES[0])
    assert count_pages(path) == 3
    for number, page in enumerate(PAGES):
        read = read_photograph(path, page=number).pixels
        np.testing.assert_array_equal(read, page)


def test_pages_that_imagej_describes_by_one_set_of_tags_are_counted(tmp_path):
    path = tmp_path / "x.tif"
    text = "ImageJ=1.54\nimages=40\nslices=40\n"
    tifffile.imwrite(path, PAGES[0], description=text, metadata=None)
    with pytest.warns(PictureWarning, match=r"x\.tif has 40 pages; the first is fused"):
        read_photograph(path)


def test_complex_numbers_are_no_picture(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.ones((4, 5), np.complex64))
    with pytest.raises(ValueError, match=r"x\.tif \(its values are complex numbers\)"):
        read_photograph(tmp_path / "x.tif")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_pixels_without_data_are_transparent_and_set_no_range(tmp_path, dtype):
    levels = np.linspace(20, 40, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)
    levels[0, 0], levels[-1, -1] = -9999, -9999
    path = tmp_path / "x.tif"
    tags = [(42113, "s", 0, "-9999", True)]
    tifffile.imwrite(path, levels, metadata=None, extratags=tags)
    with pytest.warns(PictureWarning, match="has 2 pixels without data"):
        read = read_photograph(path)
    assert read.pixels.min() == levels[0, 1] >= 20
    assert np.argwhere(read.alpha == 0).tolist() == [[0, 0], [HEIGHT - 1, WIDTH - 1]]


@pytest.mark.parametrize(
    ("options", "pixels"),
    [
        ({"planarconfig": "separate"}, RNG.integers(0, 9, (3, 4, 5), np.uint16)),
        ({}, RNG.random((4, 5))),
        ({"extrasamples": [2]}, RNG.integers(0, 9, (4, 5, 2), np.uint16)),
    ],
    ids=["planes of 16 bits", "64-bit floats", "16 bits and alpha"],
)
def test_the_plain_install_refuses_what_pillow_reads_wrongly(
    tmp_path, monkeypatch, options, pixels
):
    path = tmp_path / "x.tif"
    kind = "rgb" if pixels.shape[0] == 3 else "minisblack"
    tifffile.imwrite(path, pixels, metadata=None, photometric=kind, **options)

    def missing(*_, **__):
        raise ImportError("expected it; install it with pip install 'x[tiff]'.")

    monkeypatch.setattr(tiff, "require", missing)
    with pytest.raises(
        ValueError, match=r"x\.tif; install it with pip install 'x\[tiff"
    ):
        read_photograph(path)


def test_channels_without_a_meaning_are_reported(tmp_path):
    """As near infrared beside the colour of an aerial picture."""
    samples = RNG.integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path, samples, photometric="rgb", extrasamples=["unspecified"], metadata=None
    )
    with pytest.warns(PictureWarning, match="has 1 more channel, which is left out"):
        read = read_photograph(path).pixels
    np.testing.assert_array_equal(read, samples[..., :3])


def test_the_data_set_reader_sees_the_pixels_of_the_file_reader(tmp_path):
    """Pillow maps an uncompressed file of one strip into memory, turned wrongly."""
    image = Image.fromarray(PAGES[0])
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "x.tif", exif=exif)
    by_path = read_picture(tmp_path / "x.tif")
    by_content = decode_picture((tmp_path / "x.tif").read_bytes(), "x")
    np.testing.assert_array_equal(by_path, by_content)
    np.testing.assert_array_equal(by_path, np.rint(np.rot90(PAGES[0], -1) / 257))
