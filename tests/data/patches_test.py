import numpy as np
import pytest

from refusion_jax.data.patches import (
    Patch,
    PatchedPairs,
    corners,
    find_patches,
    has_low_contrast,
    kept_corners,
)
from refusion_jax.data.sources import JoinedPairs, in_order


def test_a_picture_of_msrs_gives_six_patches():
    """REFUSION 3.1: 1,083 x 6 = 6,498 patches, of which 1,600 steps x 4 use 6,400."""
    assert corners(480, 640) == [
        (top, left) for top in (0, 200) for left in (0, 200, 400)
    ]


@pytest.mark.parametrize(
    ("height", "width", "count"), [(128, 128, 1), (127, 128, 0), (328, 327, 2)]
)
def test_a_patch_counts_if_it_fits(height, width, count):
    assert len(corners(height, width)) == count


def test_patches_cover_without_gaps_when_the_stride_is_the_size():
    covered = np.zeros((12, 8), int)
    for top, left in corners(12, 8, size=4, stride=4):
        covered[top : top + 4, left : left + 4] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("sizes", [{"size": 0}, {"stride": 0}])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="of at least 1, got"):
        corners(9, 9, **sizes)


def halves(low, high):
    """A patch whose 10th and 90th percentile are low and high."""
    patch = np.full((8, 8), low, np.uint8)
    patch[4:] = high
    return patch


@pytest.mark.parametrize(
    ("low", "high", "dropped"),
    [
        (91, 100, True),
        (90, 100, False),
        (89, 100, False),
        (50, 50, True),
        (0, 1, False),
    ],
)
def test_contrast_is_the_spread_of_the_percentiles_over_the_upper_one(
    low, high, dropped
):
    assert has_low_contrast(halves(low, high)) is dropped


def test_contrast_does_not_depend_on_the_unit():
    for low in (80, 85, 95, 99):
        patch = halves(low, 100)
        assert has_low_contrast(patch) == has_low_contrast(patch / 255)


def test_a_black_patch_is_dropped_even_with_a_bright_spot():
    """The group's code keeps it: 0 / 0 is not below a threshold."""
    patch = np.zeros((20, 20), np.uint8)
    patch[:2, :5] = 255
    assert has_low_contrast(patch)


@pytest.mark.parametrize("flat", [0, 1])
def test_both_sources_must_have_contrast(flat):
    pair = [np.hstack([halves(0, 100), halves(0, 100)]) for _ in "ab"]
    assert kept_corners(tuple(pair), size=8, stride=8) == [(0, 0), (0, 8)]
    pair[flat][:, 8:] = 70
    assert kept_corners(tuple(pair), size=8, stride=8) == [(0, 0)]


def test_patches_are_pairs():
    generator = np.random.default_rng(0)
    pairs = [
        tuple(generator.integers(0, 256, size, np.uint8) for _ in "ab")
        for size in ((8, 13), (3, 9), (9, 4))
    ]
    found = find_patches(pairs, size=4, stride=4)
    assert found == [
        *(Patch(0, top, left) for top in (0, 4) for left in (0, 4, 8)),
        Patch(2, 0, 0),
        Patch(2, 4, 0),
    ]
    patched = PatchedPairs(pairs, found, size=4)
    assert len(patched) == len(patched.sizes) == 8
    assert set(patched.sizes) == {(4, 4)}
    for patch, cut in zip(found, in_order(patched), strict=True):
        for picture, piece in zip(pairs[patch.pair], cut, strict=True):
            rows, columns = slice(patch.top, patch.top + 4), slice(patch.left, None)
            np.testing.assert_array_equal(piece, picture[rows, columns][:, :4])
    with pytest.raises(IndexError):
        patched[8]


def test_a_set_without_contrast_is_refused():
    flat = np.full((8, 8), 9, np.uint8)
    with pytest.raises(ValueError, match=r"at least one patch of 8x8 .* in 1 pairs"):
        find_patches([(flat, flat)], size=8, stride=8)


def test_patches_count_as_often_as_their_pairs():
    pair = tuple(np.zeros((8, 8), np.uint8) for _ in "ab")
    joined = JoinedPairs([[pair] * 2, [pair]])
    patches = [Patch(2, 0, 0), Patch(0, 1, 1), Patch(2, 2, 2)]
    assert PatchedPairs(joined, patches, 4).repeats == [2, 1, 2]
    assert PatchedPairs([pair], [Patch(0, 0, 0)], 4).repeats == [1]
