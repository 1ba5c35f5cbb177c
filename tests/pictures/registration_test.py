"""Pictures made by a formula, so that a moved one is known exactly."""

import numpy as np
import pytest

from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.inference import fuse
from refusion_jax.pictures.alignment import align_pair
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.registration import (
    Motion,
    find_motion,
    largest_rectangle,
    moved,
)

pytest.importorskip(
    "SimpleITK", reason="SimpleITK is absent; pip install 'refusion-jax[register]'"
)

HEIGHT, WIDTH = 96, 128
RNG = np.random.default_rng(4)
SPOTS = RNG.uniform((-10, -10, 3, 0.3), (WIDTH + 10, HEIGHT + 10, 9, 1), (90, 4))


UNMOVED = np.eye(2, 3)


def scene(matrix=UNMOVED, invert=False, size=(HEIGHT, WIDTH)):
    """Spots of light seen through a motion; inverted as another sensor sees them."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(float)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    light = sum(
        level * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * width**2))
        for left, top, width, level in SPOTS
    )
    light = np.clip(light / 2, 0, 1)
    return np.float32(np.sqrt(1 - light) if invert else light)


def about_the_middle(turn, scale, shift, shear=0.0):
    cosine, sine = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    turned = np.array([[cosine, -sine + shear], [sine, cosine]])
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return np.column_stack([turned, middle + shift - turned @ middle])


MOTIONS = {
    "translation": about_the_middle(0, 1, (4.3, -3.6)),
    "rigid": about_the_middle(1.5, 1, (-2.5, 3)),
    "similarity": about_the_middle(-2, 1.03, (3, 2)),
    "affine": about_the_middle(1, 0.98, (2, -3), shear=0.02),
}


def corner_error(found, expected):
    """Of the place in the other picture where each corner of the first is."""
    corners = [(x, y) for x in (0, WIDTH - 1) for y in (0, HEIGHT - 1)]
    apart = [found.at(*c) - np.array(expected @ (*c, 1)) for c in corners]
    return np.linalg.norm(apart, axis=1).mean()


def inverse(matrix):
    return np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]


@pytest.mark.parametrize(
    ("by", "invert"), [("brightness", False), ("edges", True), ("levels", True)]
)
@pytest.mark.parametrize("motion", MOTIONS)
def test_a_known_motion_is_found_within_a_pixel(motion, by, invert):
    other = scene(MOTIONS[motion], invert)
    found = find_motion(scene(), other, motion=motion, by=by)
    assert corner_error(found, inverse(MOTIONS[motion])) < 0.6
    # A simpler motion cannot describe it, so the test would tell.
    unmoved = Motion(UNMOVED, (HEIGHT, WIDTH))
    assert corner_error(unmoved, inverse(MOTIONS[motion])) > 2


def test_pictures_of_two_sizes_show_the_same_field():
    small = scene(np.array([[2.0, 0, 0.5], [0, 2.0, 0.5]]), size=(48, 64))
    found = find_motion(scene(), small, by="brightness")
    assert corner_error(found, UNMOVED) < 0.5
    picture, is_known = moved(small, found)
    assert picture.shape == (HEIGHT, WIDTH)
    assert np.abs(picture - scene())[is_known].mean() < 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_moved_picture_lies_on_the_first_in_its_own_type(dtype, channels):
    matrix = MOTIONS["similarity"]
    scale = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    motion = Motion(inverse(matrix), (HEIGHT, WIDTH))
    expected, other = (scale * scene(x) for x in (UNMOVED, matrix))
    if channels:
        expected, other = (np.dstack([x] * 3) for x in (expected, other))
    picture, is_known = moved(other.astype(dtype), motion)
    assert picture.dtype == dtype
    assert 0.8 < is_known.mean() < 1
    apart = np.abs(picture / scale - expected / scale)[is_known]
    # Splines swing at the border and where the light is clipped.
    assert np.quantile(apart, 0.98) < 0.01
    assert apart.max() < 0.05


def test_unrelated_pictures_are_refused_in_one_sentence():
    for seed in range(3):
        noise = np.random.default_rng(seed).random((HEIGHT, WIDTH), np.float32)
        with pytest.raises(
            ValueError, match=r"expected b to be found on a.*\("
        ) as error:
            find_motion(scene(), noise, names=("a", "b"))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("by", ["edges", "levels", "brightness"])
@pytest.mark.parametrize("sizes", [((3, 40), (40, 40)), ((40, 40), (40, 1))])
def test_pictures_too_small_to_be_compared_are_refused(sizes, by):
    fixed, other = (scene(size=size) for size in sizes)
    message = r"expected b to be found on a, .*\(they are too small\)"
    with pytest.raises(ValueError, match=message):
        find_motion(fixed, other, by=by, names=("a", "b"))


def test_a_motion_beyond_a_tenth_of_the_picture_is_refused():
    other = scene(about_the_middle(0, 1, (16, 0)))
    with pytest.raises(ValueError, match=r"a corner by 16 pixels, more than a tenth"):
        find_motion(scene(), other, motion="translation", by="brightness")
    with pytest.raises(ValueError, match=r"one of translation, .*, got 'auto'"):
        find_motion(scene(), other, motion="auto")


@pytest.mark.parametrize("border", ["crop", "fill"])
def test_sources_are_fused_on_each_other(hand_model, border):
    picture, other = (
        np.rint(255 * scene(x)).astype(np.uint8)
        for x in (UNMOVED, MOTIONS["translation"])
    )
    rules = {"align": "register", "border": border, "output_range": "none"}
    with pytest.warns(
        PictureWarning,
        match=r"source 1 shifted by -4\.[2-4] and 3\.[5-7]",
    ):
        fused = fuse(picture, other, weights=hand_model(), **rules)
    if border == "fill":
        assert fused.shape == (HEIGHT, WIDTH)
        assert np.abs(fused - picture.astype(int)).max() <= 4
    else:
        assert HEIGHT - 6 <= fused.shape[0] < HEIGHT
        assert WIDTH - 7 <= fused.shape[1] < WIDTH
        # What is cut off: four columns on the left, four rows below.
        cut = picture[: fused.shape[0], WIDTH - fused.shape[1] :]
        assert np.abs(fused - cut.astype(int)).max() <= 4


def test_training_pairs_are_brought_onto_each_other():
    pair = [
        np.rint(255 * scene(x)).astype(np.uint8) for x in (UNMOVED, MOTIONS["rigid"])
    ]
    a, b = align_pair(*pair, "register", ("a", "b"))
    assert a.shape == b.shape
    assert (
        np.abs(a.astype(int) - b).mean()
        < 2
        < np.abs(pair[0].astype(int) - pair[1]).mean()
    )


def test_without_the_extra_its_name_is_told(hand_model, monkeypatch):
    from refusion_jax.pictures import registration

    def missing(*_, **__):
        raise ImportError("install it with pip install 'x[register]'.")

    monkeypatch.setattr(registration, "require", missing)
    with pytest.raises(ImportError, match=r"x\[register\]"):
        Fuser(hand_model(), align="register").fuse(scene(), scene())


def test_the_largest_rectangle_is_the_largest():
    """Against all rectangles."""
    known = np.random.default_rng(0).random((7, 9)) > 0.25
    rows, columns = largest_rectangle(known)
    assert known[rows, columns].all()
    areas = [
        (bottom - top) * (right - left)
        for top in range(7)
        for bottom in range(top + 1, 8)
        for left in range(9)
        for right in range(left + 1, 10)
        if known[top:bottom, left:right].all()
    ]
    assert known[rows, columns].size == max(areas)
    assert known[largest_rectangle(np.zeros((2, 2), bool))].size == 0
