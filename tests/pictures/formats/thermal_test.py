import io
import sys
import types
import warnings

import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.formats import thermal
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import read_photograph

PREVIEW = np.full((16, 24, 3), 90, np.uint8)
CELSIUS = np.linspace(-20, 45, 48).reshape(6, 8)


def jpeg(*segments):
    """A JPEG with segments, of a number and the content, before its own."""
    encoded = io.BytesIO()
    Image.fromarray(PREVIEW).save(encoded, format="JPEG")
    content = encoded.getvalue()
    own = b"".join(
        bytes([0xFF, kind]) + (len(data) + 2).to_bytes(2) + data
        for kind, data in segments
    )
    return content[:2] + own + content[2:]


def exif(maker):
    tags = Image.Exif()
    tags[0x010F] = maker
    return 0xE1, tags.tobytes()


# 64 x 51 levels of 16 bits, in two segments as DJI's cameras write them.
LEVELS = [(0xE3, b"\x10\x20" * 1632)] * 2
XMP = b'http://ns.adobe.com/xap/1.0/\0<x xmlns:drone-dji="http://www.dji.com/"/>'
FLIR = jpeg((0xE1, b"FLIR\0\x01\0\0FFF\0".ljust(2000, b"\0")))
DJI = jpeg(exif("DJI"), *LEVELS)


def flyr(monkeypatch, unpack):
    """In place of the package, whose files hold a camera's own calibration."""
    module = types.SimpleNamespace(unpack=unpack)
    monkeypatch.setitem(sys.modules, "flyr", module)
    monkeypatch.setattr(thermal, "find_spec", lambda name: module)


def test_temperatures_are_read_in_degrees(tmp_path, monkeypatch):
    (tmp_path / "x.jpg").write_bytes(FLIR)
    flyr(monkeypatch, lambda stream: types.SimpleNamespace(celsius=CELSIUS))
    read = read_photograph(tmp_path / "x.jpg").pixels
    np.testing.assert_array_equal(read, CELSIUS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FLIR, r"JPEG of FLIR, .* the 8-bit preview is read.*refusion-jax\[thermal\]"),
        (DJI, "JPEG of DJI, .* the 8-bit preview is read.*with the maker's program"),
        (jpeg((0xE1, XMP), *LEVELS), "JPEG of DJI"),
    ],
)
def test_a_preview_is_read_and_it_is_said(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(thermal, "find_spec", lambda name: None)
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.warns(PictureWarning, match=message):
        read = read_photograph(tmp_path / "x.jpg").pixels
    assert np.abs(read.astype(int) - PREVIEW).max() <= 2


def test_segments_that_cannot_be_read_leave_the_preview(tmp_path, monkeypatch):
    def unpack(stream):
        raise KeyError("no record")

    flyr(monkeypatch, unpack)
    (tmp_path / "x.jpg").write_bytes(FLIR)
    with pytest.warns(PictureWarning, match=r"cannot be read \(KeyError\)"):
        assert read_photograph(tmp_path / "x.jpg").pixels.dtype == np.uint8


@pytest.mark.parametrize(
    "content",
    [
        jpeg(exif("samsung"), (0xE3, bytes(4000))),  # a preview
        jpeg((0xE3, b"_JPSJPS_".ljust(2000, b"\0"))),
        jpeg(exif("DJI")),  # of the visible camera
        jpeg(exif("DJI"), (0xE3, b"Meta\0")),
        b"\xff\xd8\xff",
    ],
)
def test_other_pictures_are_no_temperatures(content):
    with warnings.catch_warnings(action="error"):
        assert thermal.temperatures(content, "x") is None
