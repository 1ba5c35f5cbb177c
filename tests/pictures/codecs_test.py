import io
import re
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from refusion_jax.files import atomic
from refusion_jax.pictures.codecs import (
    check_writable,
    decode_picture,
    read_picture,
    to_luminance,
    write_picture,
)
from refusion_jax.pictures.rasters import Opened, raster_of

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
RGB = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)


def saved(folder, image, name="picture.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def test_grey_and_rgb_come_as_they_are(tmp_path):
    for picture in (GREY, RGB):
        read = read_picture(saved(tmp_path, Image.fromarray(picture)))
        np.testing.assert_array_equal(read, picture)
        assert read.dtype == np.uint8


def test_rgb_with_equal_channels_stays_rgb(tmp_path):
    picture = np.repeat(GREY[..., None], 3, axis=-1)
    read = read_picture(saved(tmp_path, Image.fromarray(picture)))
    np.testing.assert_array_equal(read, picture)


def test_black_and_white_become_0_and_255(tmp_path):
    bits = np.array([[True, False], [False, True]])
    read = read_picture(saved(tmp_path, Image.fromarray(bits)))
    np.testing.assert_array_equal(read, [[255, 0], [0, 255]])


@pytest.mark.parametrize(("mode", "base"), [("LA", GREY), ("RGBA", RGB)])
def test_transparency_is_dropped(tmp_path, mode, base):
    image = Image.fromarray(base).convert(mode)
    image.putalpha(Image.fromarray(GREY))
    np.testing.assert_array_equal(read_picture(saved(tmp_path, image)), base)


@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80\xff"])
def test_a_palette_becomes_its_colours(tmp_path, transparency):
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    colours = np.array([[10, 20, 30], [200, 100, 0], [5, 5, 5]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colours.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    read = read_picture(saved(tmp_path, image, **options))
    np.testing.assert_array_equal(read, colours[indices])


def test_cmyk_becomes_rgb(tmp_path):
    """Without black, CMY is the complement of RGB."""
    image = Image.fromarray(np.dstack([255 - RGB, 0 * GREY]), mode=None).convert("RGBA")
    cmyk = Image.merge("CMYK", image.split())
    read = read_picture(saved(tmp_path, cmyk, "picture.tif"))
    np.testing.assert_array_equal(read, RGB)


def test_16_bit_grey_is_divided_by_257_and_rounded(tmp_path):
    levels = np.array([[0, 128, 129, 257], [32896, 65278, 65406, 65535]], np.uint16)
    read = read_picture(saved(tmp_path, Image.fromarray(levels)))
    np.testing.assert_array_equal(read, [[0, 0, 1, 1], [128, 254, 254, 255]])


def test_a_16_bit_png_of_an_older_pillow_reads_the_same():
    image = Image.fromarray(np.array([[0, 257, 65535]], np.int32))
    image.format = "PNG"
    levels = raster_of(Opened(image, b"", "old.png")).pixels
    assert levels.dtype == np.uint16
    np.testing.assert_array_equal(levels, [[0, 257, 65535]])


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned right
    path = saved(tmp_path, Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(read_picture(path), np.rot90(RGB, -1))


def test_the_content_and_not_the_ending_tells_the_format(tmp_path):
    path = tmp_path / "picture.jpg"
    Image.fromarray(RGB).save(path, format="PNG")
    np.testing.assert_array_equal(read_picture(path), RGB)


def encoded(name):
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, format=name)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the empty file"),
        (b"no picture at all", "in no supported format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no supported format"),
        (b"\x93NUMPY" + bytes(40), r"an array of NumPy; load it and pass it to "),
        (bytes(128) + b"DICM" + bytes(9), "a DICOM file; name its folder, which the"),
        (b"IIRO" + bytes(40), "a camera's raw file, to be developed first"),
        (encoded("PNG")[:2000], "truncated"),
        (encoded("JPEG")[:2000], "truncated"),
    ],
)
def test_broken_files_are_named_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_picture(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_postscript_is_refused_before_an_interpreter_is_called(tmp_path, monkeypatch):
    """The same content under an unrestricted Pillow reaches Ghostscript."""
    from PIL import EpsImagePlugin

    called = []
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: called.append(args)
    )
    path = tmp_path / "picture.png"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    with pytest.raises(ValueError, match="supported format"):
        read_picture(path)
    assert not called


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got no file at .*none\.png"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(ValueError, match=f"got the folder {re.escape(str(tmp_path))}"):
        read_picture(tmp_path)


@pytest.mark.parametrize("limit", [7, 4])
def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, limit):
    """Pillow warns above its limit and raises above twice that."""
    path = saved(tmp_path, Image.fromarray(GREY))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for action in ("error", "ignore"):  # as in the commands, and in Python
        with warnings.catch_warnings():
            warnings.simplefilter(action, Image.DecompressionBombWarning)
            with pytest.raises(ValueError, match=r"picture\.png .*raise PIL.Image.MAX"):
                read_picture(path)


def test_pixels_without_a_known_range_are_refused(tmp_path):
    levels = np.float32([[-20, 0], [10, 20]])
    path = saved(tmp_path, Image.fromarray(levels), "float.tif")
    with pytest.raises(ValueError, match=r"float\.tif: .* -20 to 20, got 'full'"):
        read_picture(path)
    for rule in ("min-max", "-20:20"):
        read = read_picture(path, levels=rule)
        np.testing.assert_array_equal(read, [[0, 128], [191, 255]])


def test_luminance_is_the_rounded_y_of_bt601():
    colours = np.stack(
        np.meshgrid(*[np.arange(0, 256, 15)] * 3, indexing="ij"), axis=-1
    ).reshape(18, -1, 3)
    exact = (colours * [299, 587, 114]).sum(axis=-1)
    expected = np.floor(exact / 1000 + 0.5)
    ours = to_luminance(colours.astype(np.uint8))
    np.testing.assert_array_equal(ours, expected)
    pillow = np.asarray(Image.fromarray(colours.astype(np.uint8)).convert("L"))
    assert np.abs(ours.astype(int) - pillow).max() <= 1


def test_luminance_of_grey_is_grey():
    np.testing.assert_array_equal(to_luminance(GREY), GREY)
    np.testing.assert_array_equal(to_luminance(np.dstack([GREY] * 3)), GREY)


@pytest.mark.parametrize(
    "name", ["a.png", "a.bmp", "a.tif", "a.TIFF", "a.webp", "a.b.png"]
)
@pytest.mark.parametrize("picture", [GREY, RGB], ids=["grey", "rgb"])
def test_what_is_written_is_what_is_read(tmp_path, name, picture):
    write_picture(tmp_path / name, picture)
    read = read_picture(tmp_path / name)
    if picture.ndim == 2 and name.endswith("webp"):  # WebP knows no grey
        read = read[..., 0]
    np.testing.assert_array_equal(read, picture)


def test_a_jpeg_is_close(tmp_path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    write_picture(tmp_path / "a.jpg", ramp)
    assert np.abs(read_picture(tmp_path / "a.jpg").astype(int) - ramp).max() <= 4


def test_an_unknown_ending_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.jpg.*got '\.gif' in .*a\.gif"):
        write_picture(tmp_path / "a.gif", GREY)
    with pytest.raises(ValueError, match="got ''"):
        check_writable("picture")


@pytest.mark.parametrize(
    "array",
    [
        GREY.astype(np.float32),
        GREY[..., None],
        np.dstack([RGB, GREY]),
        GREY[:0],
    ],
)
def test_only_8_bit_pictures_are_written(tmp_path, array):
    with pytest.raises(ValueError, match=r"expected a uint8 picture.*got .* of shape"):
        write_picture(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder at .*nowhere"):
        write_picture(tmp_path / "nowhere" / "a.png", GREY)


def test_a_failed_write_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_picture(path, GREY)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(atomic.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_picture(path, RGB)
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(read_picture(path), GREY)


def png(path, samples, colour_type):
    """Writes a 16-bit PNG, which Pillow reads but does not write in colour."""

    def chunk(name, content):
        checked = name + content
        length, crc = len(content).to_bytes(4), zlib.crc32(checked).to_bytes(4)
        return length + checked + crc

    height, width = samples.shape[:2]
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([16, colour_type, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize(("channels", "colour_type"), [(2, 4), (3, 2), (4, 6)])
def test_16_bit_colour_and_16_bit_alpha_are_rounded_to_8_bits(
    tmp_path, channels, colour_type
):
    generator = np.random.default_rng(0)
    samples = generator.integers(0, 65536, (3, 4, channels), np.uint16)
    read = read_picture(png(tmp_path / "deep.png", samples, colour_type))
    pixels = samples[..., 0] if channels == 2 else samples[..., :3]
    np.testing.assert_array_equal(read, np.rint(pixels / 257))


@pytest.mark.parametrize("name", ["thermal.png", "thermal.tif"])
def test_16_bit_grey_goes_through_the_range_rule(tmp_path, name):
    levels = np.array([[29000, 29500], [30000, 31000]], np.uint16)
    path = saved(tmp_path, Image.fromarray(levels), name)
    np.testing.assert_array_equal(
        read_picture(path, levels="min-max"), [[0, 64], [128, 255]]
    )
    np.testing.assert_array_equal(
        read_picture(path, levels="29500:30500"), [[0, 0], [128, 255]]
    )


def test_the_range_rule_leaves_8_bits_alone_and_is_checked_before_reading(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREY))
    np.testing.assert_array_equal(read_picture(path, levels="min-max"), GREY)
    with pytest.raises(ValueError, match=r"expected a range rule .* got 'all'"):
        read_picture(path, levels="all")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp", "webp", "gif", "ppm"])
def test_bytes_are_decoded_as_their_file_is(tmp_path, ending):
    path = saved(tmp_path, Image.fromarray(RGB), f"picture.{ending}")
    decoded = decode_picture(path.read_bytes(), "it")
    np.testing.assert_array_equal(decoded, read_picture(path))
    with Image.open(path) as image:
        np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_broken_bytes_are_called_by_their_name():
    with pytest.raises(ValueError, match="the empty file record 7"):
        decode_picture(b"", "record 7")
    with pytest.raises(ValueError, match=r"got record 7 \(its content is in no supp"):
        decode_picture(b"nothing", "record 7")
