import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from refusion_jax.pictures import photographs
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import (
    Photograph,
    from_unit,
    origin_of,
    read_photograph,
    to_unit,
    write_photograph,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (3, 4), np.uint8)
RGB = RNG.integers(0, 256, (3, 4, 3), np.uint8)
ALPHA = RNG.integers(0, 255, (3, 4), np.uint8)
DEEP = RNG.integers(0, 65536, (3, 4), np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Header only; that is all that is looked at.
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
CMYK_PROFILE = SRGB[:16] + b"CMYK" + SRGB[20:]


def saved(folder, image, name, **options):
    image.save(folder / name, **options)
    return folder / name


def with_alpha(picture, alpha=ALPHA):
    image = Image.fromarray(picture)
    image.putalpha(Image.fromarray(alpha))
    return image


def some_exif(orientation=None):
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x8769] = {0x829A: 0.25, 0xA002: 4, 0xA003: 3}  # exposure, width, height
    exif[0x8825] = {1: "N", 2: (49.0, 52.0, 30.0)}
    if orientation:
        exif[0x0112] = orientation
    return exif


def tags_of(exif_block):
    exif = Image.Exif()
    exif.load(exif_block)
    return {
        **exif,
        0x8769: dict(exif.get_ifd(0x8769)),
        0x8825: dict(exif.get_ifd(0x8825)),
    }


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg", "bmp", "gif", "ppm"])
def test_plain_colour_has_pixels_only(tmp_path, ending):
    path = saved(tmp_path, Image.fromarray(RGB), f"x.{ending}")
    read = read_photograph(path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read.pixels, np.asarray(image.convert("RGB")))
    assert read[1:4] == (None, None, None)
    assert read.name == str(path)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_keeps_its_16_bits(tmp_path, ending):
    read = read_photograph(saved(tmp_path, Image.fromarray(DEEP), f"x.{ending}"))
    np.testing.assert_array_equal(read.pixels, DEEP)
    assert read.pixels.dtype == np.uint16
    np.testing.assert_allclose(to_unit(read), DEEP / 65535, rtol=1e-7)


def test_big_endian_16_bit_grey_is_read_in_the_machines_order(tmp_path):
    image = Image.frombytes("I;16B", (4, 3), DEEP.astype(">u2").tobytes())
    read = read_photograph(saved(tmp_path, image, "x.tif"))
    np.testing.assert_array_equal(read.pixels, DEEP)


@pytest.mark.parametrize("picture", [GREY, RGB], ids=["LA", "RGBA"])
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_transparency_comes_along(tmp_path, picture, ending):
    options = {"exact": True, "lossless": True} if ending == "webp" else {}
    read = read_photograph(
        saved(tmp_path, with_alpha(picture), f"x.{ending}", **options)
    )
    np.testing.assert_array_equal(read.alpha, ALPHA)
    expected = picture
    if ending == "webp" and picture.ndim == 2:  # WebP knows no grey
        expected = np.dstack([picture] * 3)
    np.testing.assert_array_equal(read.pixels, expected)


def test_an_opaque_alpha_is_none(tmp_path):
    image = with_alpha(RGB, np.full((3, 4), 255, np.uint8))
    assert read_photograph(saved(tmp_path, image, "x.png")).alpha is None


def test_a_transparent_palette_colour_is_alpha(tmp_path):
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(bytes(range(9)))
    read = read_photograph(saved(tmp_path, image, "x.png", transparency=1))
    np.testing.assert_array_equal(read.alpha, [[255, 0], [255, 0]])
    np.testing.assert_array_equal(read.pixels[0, 1], [3, 4, 5])


def test_a_key_colour_is_alpha(tmp_path):
    rgb = RGB.copy()
    rgb[1, 2] = 1, 2, 3
    path = saved(tmp_path, Image.fromarray(rgb), "x.png", transparency=(1, 2, 3))
    read = read_photograph(path)
    np.testing.assert_array_equal(read.alpha == 0, (rgb == [1, 2, 3]).all(axis=-1))
    np.testing.assert_array_equal(read.pixels, rgb)


def test_cmyk_loses_its_profile_on_the_way_to_a_fused_picture(tmp_path):
    cmyk = Image.fromarray(np.dstack([255 - RGB, 0 * GREY])).convert("RGBA")
    cmyk = Image.merge("CMYK", cmyk.split())
    path = saved(tmp_path, cmyk, "x.jpg", icc_profile=CMYK_PROFILE, quality=100)
    read = read_photograph(path)
    assert read.icc_profile == CMYK_PROFILE
    assert from_unit(to_unit(read), [read]).icc_profile is None


def test_orientation_is_applied_to_all_and_left_out(tmp_path):
    path = saved(tmp_path, with_alpha(RGB), "x.png", exif=some_exif(6).tobytes())
    read = read_photograph(path)
    np.testing.assert_array_equal(read.pixels, np.rot90(RGB, -1))
    np.testing.assert_array_equal(read.alpha, np.rot90(ALPHA, -1))
    assert 0x0112 not in tags_of(read.exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phones_heic_is_upright_however_it_was_held(tmp_path, orientation):
    """As Pillow turns a PNG with the same tag; the encoder keeps it beside the rows."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    rows, columns = np.mgrid[:48, :64]
    picture = np.dstack([4 * columns, 5 * rows, 255 - 4 * columns]).astype(np.uint8)
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = orientation, "maker"
    for name, options in (("x.png", {}), ("x.heic", {"quality": 95})):
        Image.fromarray(picture).save(tmp_path / name, exif=tags.tobytes(), **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "x.png")))
    read = read_photograph(tmp_path / "x.heic")
    assert read.pixels.shape == upright.shape
    assert np.abs(read.pixels.astype(int) - upright).mean() < 3
    kept = Image.Exif()
    kept.load(read.exif)
    assert kept[0x010F] == "maker"
    assert kept.get(0x0112, 1) == 1


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_exif_says_what_was_taken_but_not_how_the_old_file_was(tmp_path, ending):
    path = saved(
        tmp_path, Image.fromarray(RGB), f"x.{ending}", exif=some_exif(6).tobytes()
    )
    tags = tags_of(read_photograph(path).exif)
    assert tags == {
        0x010F: "a maker",
        0x8769: {0x829A: 0.25},
        0x8825: {1: "N", 2: (49.0, 52.0, 30.0)},
    }


def test_a_broken_exif_block_is_left_out(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(RGB), "x.jpg", exif=some_exif())

    def fail(*_):
        raise SyntaxError("broken")

    monkeypatch.setattr(Image.Exif, "get_ifd", fail)
    assert read_photograph(path).exif is None


@pytest.mark.parametrize(
    "content", [b"", b"no picture", SRGB[:90]], ids=["empty", "text", "binary"]
)
def test_what_is_no_picture_is_told(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"expected a .*picture, got .*x\.png"):
        read_photograph(tmp_path / "x.png")


# What a fused picture takes over


FULL = Photograph(RGB, ALPHA, SRGB, b"first")


def test_a_result_is_as_transparent_as_its_most_transparent_source():
    """The layers of an aligned stack: each lacks another border."""
    unit = np.float32(RGB) / 255
    layers = [Photograph(RGB, np.full((3, 4), 255, np.uint8)) for _ in range(2)]
    layers[0].alpha[:, 0], layers[1].alpha[:, -1] = 0, 9
    for sources in (layers, [*layers, Photograph(GREY)]):
        made = from_unit(unit, sources).alpha
        np.testing.assert_array_equal(made, [[0, 255, 255, 9]] * 3)
    deep = layers[1]._replace(alpha=np.full((3, 4), 1000, np.uint16))
    made = from_unit(unit, [layers[0], deep]).alpha
    np.testing.assert_array_equal(made, [[0, 1000, 1000, 1000]] * 3)


@pytest.mark.parametrize("name", ["exif"])
def test_each_thing_comes_from_the_first_source_that_has_it(name):
    unit = np.float32(RGB) / 255
    second = Photograph(RGB, ALPHA // 2, SRGB + b"2", b"second")
    for sources, expected in (
        ([FULL, second], FULL),
        ([FULL._replace(**{name: None}), second], second),
        ([Photograph(GREY), FULL], FULL),
    ):
        assert getattr(from_unit(unit, sources), name) is getattr(expected, name)
    assert getattr(from_unit(unit, [Photograph(RGB)] * 2), name) is None


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        # A grey picture with an RGB profile lends no colour, so not its profile either.
        ([(np.dstack([GREY] * 3), b"x"), (RGB, b"y")], b"y"),
        ([(RGB, b"x"), (RGB, b"y")], b"x"),
        ([(GREY, None), (RGB, b"y")], b"y"),
        ([(GREY, b"x"), (RGB, None)], None),
    ],
)
def test_the_profile_is_that_of_a_source_that_lends_colour(profiles, expected):
    sources = [
        Photograph(pixels, icc_profile=tail and SRGB + tail)
        for pixels, tail in profiles
    ]
    made = from_unit(np.float32(RGB) / 255, sources)
    assert made.icc_profile == (expected and SRGB + expected)


def test_a_grey_result_takes_a_grey_profile_and_no_other():
    rgb = Photograph(np.dstack([GREY] * 3), icc_profile=SRGB)
    grey = Photograph(GREY, icc_profile=GREY_PROFILE)
    unit = np.float32(GREY) / 255
    assert from_unit(unit, [rgb, rgb]).icc_profile is None
    assert from_unit(unit, [rgb, grey]).icc_profile == GREY_PROFILE


def test_a_grey_result_is_as_deep_as_its_deepest_source():
    deep = from_unit(DEEP / np.float32(65535), [Photograph(GREY), Photograph(DEEP)])
    np.testing.assert_array_equal(deep.pixels, DEEP)
    assert deep.pixels.dtype == np.uint16
    colour = from_unit(np.float32(RGB) / 255, [Photograph(RGB), Photograph(DEEP)])
    np.testing.assert_array_equal(colour.pixels, RGB)
    assert colour.pixels.dtype == np.uint8
    # Colour is as deep as the pictures that lend it.
    deep_rgb = Photograph(np.dstack([DEEP, DEEP // 2, DEEP // 3]))
    colour = from_unit(np.float32(RGB) / 255, [Photograph(RGB), deep_rgb])
    np.testing.assert_array_equal(colour.pixels, RGB * np.uint16(257))


# What a format keeps


def warned(message=None):
    """Expects a warning about a picture, or none."""
    if message is None:
        return contextlib.nullcontext()
    return pytest.warns(PictureWarning, match=message)


def written(folder, ending, photograph):
    path = folder / f"x.{ending}"
    write_photograph(path, photograph)
    return read_photograph(path)


EXIF_BLOCK = some_exif().tobytes()


@pytest.mark.parametrize(
    ("ending", "alpha", "profile", "exif"),
    [
        ("png", True, True, True),
        ("tif", True, True, True),
        ("tiff", True, True, True),
        ("webp", True, True, True),
        ("jpg", False, True, True),
        ("JPEG", False, True, True),
        ("bmp", False, False, False),
    ],
)
def test_a_format_keeps_what_it_has_a_place_for(tmp_path, ending, alpha, profile, exif):
    with warned() if alpha else warned("does not keep the transparency"):
        read = written(tmp_path, ending, Photograph(RGB, ALPHA, SRGB, EXIF_BLOCK))
    if ending.lower() not in ("jpg", "jpeg"):
        visible = np.ones_like(ALPHA, bool)
        if ending == "webp":  # libwebp forgets the colour of what nobody sees
            visible = ALPHA > 0
        np.testing.assert_array_equal(read.pixels[visible], RGB[visible])
    assert (read.alpha is not None) == alpha
    if alpha:
        np.testing.assert_array_equal(read.alpha, ALPHA)
    assert read.icc_profile == (SRGB if profile else None)
    assert (read.exif is not None) == exif
    if exif:
        assert tags_of(read.exif)[0x010F] == "a maker"


@pytest.mark.parametrize(
    ("ending", "expected"),
    [("png", GREY_PROFILE), ("tif", GREY_PROFILE), ("webp", None), ("bmp", None)],
)
def test_a_grey_profile_goes_where_grey_is_grey(tmp_path, ending, expected):
    with warned(None if expected else "does not keep the ICC profile"):
        read = written(tmp_path, ending, Photograph(GREY, icc_profile=GREY_PROFILE))
    assert read.icc_profile == expected


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_written_where_the_format_has_them(tmp_path, ending):
    read = written(tmp_path, ending, Photograph(DEEP, exif=EXIF_BLOCK))
    np.testing.assert_array_equal(read.pixels, DEEP)
    assert tags_of(read.exif)[0x010F] == "a maker"


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("shape", [(70, 5), (70, 5, 3)], ids=["grey", "colour"])
def test_16_bits_of_colour_and_alpha_are_kept(tmp_path, ending, has_alpha, shape):
    """Read back by tifffile and FFmpeg, which had no part in writing."""
    if ending == "tif":
        pytest.importorskip("tifffile")
    pixels = RNG.integers(0, 65536, shape, np.uint16)
    pixels[20:40] //= 3  # rows for several of PNG's filters
    pixels[:9] = np.sort(pixels[:9], axis=0)
    alpha = RNG.integers(0, 65536, (70, 5), np.uint16) if has_alpha else None
    photograph = Photograph(pixels, alpha, icc_profile=SRGB)
    read = written(tmp_path, ending, photograph)
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.icc_profile == SRGB
    if has_alpha:
        np.testing.assert_array_equal(read.alpha, alpha)
    else:
        assert read.alpha is None
    samples = pixels if alpha is None else np.dstack([pixels, alpha])
    if ending == "tif":
        other = pytest.importorskip("tifffile").imread(tmp_path / "x.tif")
    else:
        av = pytest.importorskip("av")
        kinds = {1: "gray16le", 2: "ya16le", 3: "rgb48le", 4: "rgba64le"}
        kind = kinds[np.atleast_3d(samples).shape[-1]]
        with av.open(str(tmp_path / "x.png")) as file:
            frame = next(file.decode(video=0))
        if kind == "ya16le":
            return  # which PyAV does not hand out as an array
        other = frame.to_ndarray(format=kind)
    np.testing.assert_array_equal(np.squeeze(other), np.squeeze(samples))


def test_8_bits_are_written_elsewhere_and_it_is_said(tmp_path):
    with warned(r"x\.bmp does not keep 8 of 16 bits; \.png keeps all of it"):
        read = written(tmp_path, "bmp", Photograph(DEEP))
    np.testing.assert_array_equal(read.pixels, np.rint(DEEP / 257))
    assert read.pixels.dtype == np.uint8


def test_without_tifffile_a_tiff_of_deep_colour_has_8_bits_and_it_is_said(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    deep = np.dstack([DEEP] * 3)
    deep[0, 0] = 1, 2, 3
    with warned(r"8 of 16 bits \(pip install 'refusion-jax\[tiff\]' keeps them\)"):
        read = written(tmp_path, "tif", Photograph(deep))
    np.testing.assert_array_equal(read.pixels, np.rint(deep / 257))


def test_exif_that_is_too_long_for_jpeg_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "long" * 20_000
    block = exif.tobytes()
    with warned("does not keep EXIF above 64 kB"):
        assert written(tmp_path, "jpg", Photograph(RGB, exif=block)).exif is None
    assert written(tmp_path, "png", Photograph(RGB, exif=block)).exif is not None


def test_exif_that_leaves_no_room_for_the_origin_stays_in_a_jpeg(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "long" * 16_250
    path = tmp_path / "x.jpg"
    origin = json.dumps({"made": "x" * 1000})
    write_photograph(path, Photograph(RGB, exif=exif.tobytes()), origin=origin)
    assert tags_of(read_photograph(path).exif)[0x010E] == "long" * 16_250
    assert origin_of(path) is None


def test_profiles_and_exif_that_a_format_lacks_are_told(tmp_path):
    with warned(r"does not keep the ICC profile and EXIF; \.png keeps all of it"):
        written(tmp_path, "bmp", Photograph(RGB, icc_profile=SRGB, exif=EXIF_BLOCK))
    with warned("does not keep the ICC profile;"):
        written(tmp_path, "webp", Photograph(GREY, icc_profile=SRGB))
    pytest.importorskip("tifffile", reason="tifffile is in the extra `tiff`")
    with warned("does not keep EXIF;"):
        written(tmp_path, "tif", Photograph(np.dstack([DEEP] * 3), exif=EXIF_BLOCK))


def test_a_written_photograph_is_the_same_whenever_it_is_written(tmp_path):
    """Resuming and repeating give the same bytes."""
    photograph = Photograph(RGB, ALPHA, SRGB, EXIF_BLOCK)
    contents = set()
    for name in ("a.png", "b.png"):
        write_photograph(tmp_path / name, photograph)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1


def test_nothing_of_a_tiff_files_layout_is_kept(tmp_path):
    """Its tags are in the same table as the descriptive ones."""
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "TIFF", software="an editor")
    path = tmp_path / "x.tif"
    path.write_bytes(buffer.getvalue())
    assert tags_of(read_photograph(path).exif) == {
        0x0131: "an editor",
        0x8769: {},
        0x8825: {},
    }
    assert photographs._Tag.StripOffsets not in photographs._KEPT_TAGS
