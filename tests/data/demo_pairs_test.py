from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.demo_pairs import (
    MAX_BLUR,
    TEST_EXPOSURE_PHOTOGRAPH,
    TRAIN_PHOTOGRAPHS,
    blur_by_depth,
    exposure_pair,
    focus_pair,
    normalised_depth,
    slanted_plane,
    write_demo_pairs,
)
from refusion_jax.data.pairs import find_pairs, read_pairs

pytest.importorskip("skimage")
rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (48, 40), np.uint8)
RGB = rng.integers(0, 256, (48, 40, 3), np.uint8)


def sharpness(picture):
    """Variance of the Laplacian, the usual measure of focus."""
    x = picture.astype(float)
    laplacian = (
        x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    )
    return laplacian.var()


@pytest.mark.parametrize("photograph", [GREY, RGB], ids=["grey", "rgb"])
def test_what_is_in_focus_is_the_photograph(photograph):
    depth = np.zeros((48, 40))
    depth[:, 20:] = 1
    near, far = focus_pair(photograph, depth)
    assert near.dtype == far.dtype == np.uint8
    assert near.shape == far.shape == photograph.shape
    np.testing.assert_array_equal(near[:, :20], photograph[:, :20])
    np.testing.assert_array_equal(far[:, 20:], photograph[:, 20:])


def test_blur_grows_with_the_distance_from_the_plane_in_focus():
    values = [
        sharpness(blur_by_depth(GREY, np.full(GREY.shape, distance)))
        for distance in (0, 0.1, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    assert all(1.05 * after < before for before, after in pairwise(values))
    assert values[-1] < values[0] / 100


def test_the_farthest_pixels_are_blurred_by_a_gaussian_of_the_stated_width():
    """An edge becomes the normal distribution: its slope is 1 / (sigma sqrt(2 pi))."""
    edge = np.zeros((8, 60), np.uint8)
    edge[:, 30:] = 255
    blurred = blur_by_depth(edge, np.ones(edge.shape)).astype(float) / 255
    slope = np.diff(blurred[4]).max()
    np.testing.assert_allclose(slope, 1 / (MAX_BLUR * np.sqrt(2 * np.pi)), rtol=0.03)


def test_each_picture_is_sharper_on_its_own_side():
    near, far = focus_pair(GREY, slanted_plane(*GREY.shape, angle=0))
    left, right = np.s_[:, :15], np.s_[:, -15:]
    assert sharpness(near[left]) > 3 * sharpness(far[left])
    assert sharpness(far[right]) > 3 * sharpness(near[right])


def test_exposures_are_a_quarter_and_four_times_the_light():
    """At a gamma of 2.2 and for each byte: b (1/4)^(1/2.2), and b 4^(1/2.2) clipped."""
    every_byte = np.arange(256, dtype=np.uint8).reshape(16, 16)
    under, over = exposure_pair(every_byte)
    factor = 4 ** (1 / 2.2)
    expected = np.arange(256).reshape(16, 16)
    np.testing.assert_array_equal(under, np.rint(expected / factor))
    np.testing.assert_array_equal(over, np.minimum(np.rint(expected * factor), 255))


def test_a_slanted_plane_grows_linearly_in_its_direction():
    np.testing.assert_allclose(
        slanted_plane(3, 5, angle=0), np.tile(np.linspace(0, 1, 5), (3, 1))
    )
    np.testing.assert_allclose(
        slanted_plane(3, 5, angle=np.pi / 2),
        np.tile(np.linspace(0, 1, 3), (5, 1)).T,
        atol=1e-12,
    )
    turned = slanted_plane(6, 9, angle=2.5)
    assert (turned.min(), turned.max()) == (0, 1)
    for axis in (0, 1):
        np.testing.assert_allclose(np.diff(turned, 2, axis=axis), 0, atol=1e-12)


def test_near_pixels_have_large_disparities():
    columns = np.repeat([20.0, 10.0, 60.0], 40)
    depth = normalised_depth(np.tile(columns, (30, 1)))
    assert (depth.min(), depth.max()) == (0, 1)
    # Away from the slightly smoothed edges.
    np.testing.assert_allclose(depth[:, [5, 60, 115]], [[0.8, 1, 0]] * 30, atol=0.01)


def test_pixels_without_a_match_take_the_nearest_ones_depth():
    disparity = np.tile(np.repeat([10.0, 50.0], 40), (30, 1))
    holes = disparity.copy()
    holes[:, 10:12] = np.inf
    holes[20:, 70:] = np.inf
    np.testing.assert_allclose(normalised_depth(holes), normalised_depth(disparity))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo_pairs(folder)
    return folder


def test_the_folders_hold_pairs_that_the_trainer_can_read(folder):
    train = find_pairs(folder / "train" / "a", folder / "train" / "b")
    kinds = {tuple(pair.stem.rstrip("0123456789").split("_")) for pair in train}
    assert kinds == {
        (name, kind) for name in TRAIN_PHOTOGRAPHS for kind in ("exposure", "focus")
    }
    test = find_pairs(folder / "test" / "a", folder / "test" / "b")
    assert [pair.stem for pair in test] == [
        f"{TEST_EXPOSURE_PHOTOGRAPH}_exposure",
        "motorcycle_focus",
    ]
    for picture_a, picture_b in read_pairs([*train, *test], minimum_size=128):
        assert (picture_a != picture_b).any()


def test_sources_come_in_the_promised_order(folder):
    """Near before far, under before over."""

    def read(part, side, stem):
        with Image.open(folder / part / side / f"{stem}.png") as image:
            return np.asarray(image)

    for part, name in (("train", "astronaut"), ("test", TEST_EXPOSURE_PHOTOGRAPH)):
        under, over = (read(part, side, f"{name}_exposure") for side in "ab")
        assert (under <= over).all() and under.mean() < over.mean() / 2
    near, far = (read("test", side, "motorcycle_focus") for side in "ab")
    from skimage import data

    photograph, _, disparity = data.stereo_motorcycle()
    height, width = near.shape[:2]
    shown = slice(100, 100 + height), slice(150, 150 + width)
    photograph, depth = photograph[shown], normalised_depth(disparity)[shown]
    errors = [np.abs(x.astype(int) - photograph).mean(axis=-1) for x in (near, far)]
    assert errors[0][depth < 0.1].mean() < errors[1][depth < 0.1].mean() / 2
    assert errors[1][depth > 0.9].mean() < errors[0][depth > 0.9].mean() / 2


def test_test_photographs_are_in_no_training_pair():
    assert TEST_EXPOSURE_PHOTOGRAPH not in TRAIN_PHOTOGRAPHS
    assert "motorcycle" not in "".join(TRAIN_PHOTOGRAPHS)
    assert len(set(TRAIN_PHOTOGRAPHS)) == len(TRAIN_PHOTOGRAPHS)


def test_missing_scikit_image_says_how_to_install_it(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImportError, match=r"pip install 'refusion-jax\[demo\]'"):
        write_demo_pairs(tmp_path)
    assert not list(tmp_path.iterdir())
