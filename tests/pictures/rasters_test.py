"""PNGs written by hand, bit by bit: few bits with a key, and frames of 16 bits."""

import zlib

import numpy as np
import pytest

from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import count_pages, read_photograph

RNG = np.random.default_rng(5)
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels


def chunk(name, content):
    checked = name + content
    return len(content).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)


def png(frames, bits, key=None, orientation=None):
    """A PNG; of several frames an animated one, each of which covers all of it."""
    height, width, channels = np.atleast_3d(frames[0]).shape
    size = width.to_bytes(4) + height.to_bytes(4)
    kind = bytes([bits, COLOUR_TYPES[channels], 0, 0, 0])
    parts, number = [chunk(b"IHDR", size + kind)], 0
    if key is not None:
        parts.append(chunk(b"tRNS", key.to_bytes(2)))
    if orientation is not None:
        entry = b"\1\x12\0\3\0\0\0\1" + orientation.to_bytes(2) + bytes(2)
        parts.append(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1" + entry + bytes(4)))
    if len(frames) > 1:
        parts.append(chunk(b"acTL", len(frames).to_bytes(4) + bytes(4)))
    for frame in frames:
        data = b""
        for row in frame:
            text = "".join(f"{x:0{bits}b}" for x in np.ravel(row))
            text += "0" * (-len(text) % 8)
            data += b"\0" + int(text, 2).to_bytes(len(text) // 8)
        data = zlib.compress(data)
        if len(frames) > 1:
            place_and_time = bytes(8) + b"\0\1\0\1" + bytes(2)
            parts.append(chunk(b"fcTL", number.to_bytes(4) + size + place_and_time))
            number += 1
        if frame is frames[0]:
            parts.append(chunk(b"IDAT", data))
        else:
            parts.append(chunk(b"fdAT", number.to_bytes(4) + data))
            number += 1
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", [None, 6])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_key_of_grey_is_transparent_at_every_depth(bits, orientation):
    levels = np.arange(12).reshape(3, 4) % (1 << bits)
    key = min(5, (1 << bits) - 1)
    read = read_photograph(png([levels], bits, key, orientation))
    turned = levels if orientation is None else np.rot90(levels, -1)
    white = 65535 if bits == 16 else 255
    np.testing.assert_array_equal(read.pixels, turned * (white // ((1 << bits) - 1)))
    np.testing.assert_array_equal(read.alpha, np.where(turned == key, 0, 255))


@pytest.mark.parametrize("bits", [2, 4])
def test_of_a_key_only_as_many_bits_count_as_levels_have(bits):
    """As PNG's specification has it of all depths under 16."""
    levels = np.arange(4).reshape(1, 4)
    alpha = read_photograph(png([levels], bits, (1 << bits) + 1)).alpha
    np.testing.assert_array_equal(alpha, [[255, 0, 255, 255]])


@pytest.mark.parametrize("bits", [2, 4])
def test_a_key_holds_for_every_frame(bits):
    frames = [RNG.integers(0, 1 << bits, (4, 6)) for _ in range(3)]
    frames[1][0, 0] = 1
    content = png(frames, bits, key=1)
    for number, frame in enumerate(frames):
        alpha = read_photograph(content, page=number).alpha
        np.testing.assert_array_equal(alpha, np.where(frame == 1, 0, 255))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_of_frames_with_16_bits_of_colour_only_the_first_is_read(tmp_path, channels):
    frames = [RNG.integers(0, 65536, (3, 4, channels)) for _ in range(3)]
    path = tmp_path / "x.png"
    path.write_bytes(png(frames, 16))
    assert count_pages(path) == 3
    pixels = frames[0][..., 0] if channels == 2 else frames[0][..., :3]
    np.testing.assert_array_equal(read_photograph(path, page=0).pixels, pixels)
    with pytest.warns(
        PictureWarning, match=r"3 frames; the first is fused \(save each"
    ):
        read = read_photograph(path)
    np.testing.assert_array_equal(read.pixels, pixels)
    for page in (1, 2):
        with pytest.raises(ValueError, match=r"x\.png \(only the first of its frames"):
            read_photograph(path, page=page)


def test_frames_with_16_bits_of_grey_are_read_one_by_one():
    frames = [RNG.integers(0, 65536, (3, 4)) for _ in range(3)]
    for number, frame in enumerate(frames):
        read = read_photograph(png(frames, 16), page=number).pixels
        np.testing.assert_array_equal(read, frame)
