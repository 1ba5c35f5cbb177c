import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.formats import thermal
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import read_photograph

PREVIEW = np.full((16, 24, 3), 90, np.uint8)
CELSIUS = np.linspace(-20, 45, 48).reshape(6, 8)


def jpeg(kind, start, length=2000):
    """A JPEG with a maker's segment before its own."""
    encoded = io.BytesIO()
    Image.fromarray(PREVIEW).save(encoded, format="JPEG")
    content = encoded.getvalue()
    segment = (
        bytes([0xFF, kind]) + (length + 2).to_bytes(2) + start.ljust(length, b"\0")
    )
    return content[:2] + segment + content[2:]


FLIR, DJI = jpeg(0xE1, b"FLIR\0\x01\0\0FFF\0"), jpeg(0xE3, b"\x10\x20\x30")


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


@pytest.mark.parametrize("start", [b"_JPSJPS_", b"Meta\0"])
def test_other_segments_are_no_temperatures(start):
    assert thermal.temperatures(jpeg(0xE3, start), "x") is None
    assert thermal.temperatures(b"\xff\xd8\xff", "x") is None
