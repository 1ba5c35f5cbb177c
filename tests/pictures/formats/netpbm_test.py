import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.codecs import read_picture
from refusion_jax.pictures.formats.netpbm import deep_netpbm
from refusion_jax.pictures.photographs import read_photograph

LEVELS = np.array([[0, 1, 2047], [4094, 4095, 300]])


def binary(white, levels, kind="P5", comment=""):
    height, width = levels.shape[:2]
    header = f"{kind}\n{comment}{width} {height}\n{white}\n"
    return header.encode() + levels.astype(">u2").tobytes()


@pytest.mark.parametrize("white", [4095, 1023, 65535])
@pytest.mark.parametrize("comment", ["", "# made by hand: 9 9\n"])
def test_the_white_of_a_file_is_white(tmp_path, white, comment):
    levels = np.minimum(LEVELS, white)
    (tmp_path / "x.pgm").write_bytes(binary(white, levels, comment=comment))
    read = read_photograph(tmp_path / "x.pgm").pixels
    assert read.dtype == np.uint16
    np.testing.assert_allclose(read, levels * 65535 / white, atol=0.5)


def test_plain_text_and_colour_are_read_alike(tmp_path):
    text = "P2\n3 2\n# a comment\n4095\n" + " ".join(map(str, LEVELS.ravel()))
    plain = deep_netpbm(text.encode())
    np.testing.assert_array_equal(plain, deep_netpbm(binary(4095, LEVELS)))
    colour = np.dstack([LEVELS, LEVELS // 2, LEVELS // 3])
    read = deep_netpbm(binary(4095, colour, "P6"))
    np.testing.assert_allclose(read, colour * 65535 / 4095, atol=0.5)


def test_8_bits_and_other_files_are_left_to_pillow():
    assert deep_netpbm(b"P5 1 1 255\n\x07") is None
    assert deep_netpbm(b"\x89PNG") is None


def test_truncated_pixels_are_one_sentence(tmp_path):
    (tmp_path / "x.pgm").write_bytes(binary(4095, LEVELS)[:-3])
    with pytest.raises(ValueError, match=r"x\.pgm \(its pixels are truncated\)"):
        read_picture(tmp_path / "x.pgm")


def test_8_bit_and_16_bit_twins_agree(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(grey).save(tmp_path / "8.pgm")
    deep = grey.astype(np.uint16) * 257
    (tmp_path / "16.pgm").write_bytes(binary(65535, deep))
    read = [read_picture(tmp_path / name) for name in ("8.pgm", "16.pgm")]
    np.testing.assert_array_equal(*read)
