import numpy as np
import pytest

from refusion_jax.pictures.alignment import align_pair, common_size, fit
from refusion_jax.pictures.notes import PictureWarning

WIDE = np.arange(5 * 9, dtype=np.uint8).reshape(5, 9)
TALL = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6)


def test_crop_keeps_the_middle_of_the_common_size():
    one, other = align_pair(WIDE, TALL, "crop", ("a", "b"))
    np.testing.assert_array_equal(one, WIDE[:, 1:7])
    np.testing.assert_array_equal(other, TALL[1:6])


def test_resize_gives_b_the_size_of_a():
    ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (80, 1))
    one, other = align_pair(WIDE, TALL, "resize", ("a", "b"))
    assert one is WIDE
    assert other.shape == WIDE.shape
    with pytest.warns(PictureWarning, match=r"b of 120x80 .* 60x40 of a.* 1/4 of its"):
        _, half = align_pair(np.zeros((40, 60), np.uint8), ramp, "resize", ("a", "b"))
    # A ramp stays a ramp; at the ends the filter sees beyond it.
    expected = np.arange(1, 240, 4)
    assert np.abs(half[20].astype(int) - expected)[2:-2].max() <= 1


def test_pairs_of_one_size_are_not_touched():
    for align in ("none", "crop", "resize"):
        one, other = align_pair(WIDE, WIDE, align, ("a", "b"))
        assert one is WIDE and other is WIDE


def test_resize_largest_takes_the_size_of_the_picture_with_the_most_pixels():
    shapes = [(120, 160), (1080, 1440), (200, 300)]
    assert common_size(shapes, "resize-largest", ("a", "b", "c")) == (1080, 1440)


def test_16_bits_are_scaled_without_rounding_down():
    """Against the same picture in floats."""
    deep = np.random.default_rng(0).integers(0, 65536, (8, 6, 3), np.uint16)
    scaled = fit(deep, (5, 9), "resize")
    expected = fit(np.float32(deep / 65535), (5, 9), "resize")
    assert scaled.dtype == np.uint16
    np.testing.assert_allclose(scaled / 65535, expected, atol=1e-5)
