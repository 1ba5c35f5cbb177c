import sys

import numpy as np
import pytest

from refusion_jax.evaluation import classical

pytest.importorskip("cv2", reason="OpenCV is in the extra `classical`")
FUNCTIONS = (classical.laplacian, classical.mertens, classical.guided)
HEIGHT, WIDTH = 96, 128


def checkerboard(low, high):
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.where((rows + columns) % 2, high, low).astype(np.uint8)


def flat(level):
    return np.full((HEIGHT, WIDTH), level, np.uint8)


@pytest.fixture(scope="module")
def scene():
    """A sharp picture, and two of it that are each blurred in one half."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(60, 196, (HEIGHT, WIDTH)).astype(np.float64)
    padded = np.pad(sharp, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    blurred = windows.mean(axis=(2, 3))
    left = np.arange(WIDTH) < WIDTH // 2
    sides = np.where(left, sharp, blurred), np.where(left, blurred, sharp)
    return tuple(np.floor(x + 0.5).astype(np.uint8) for x in (sharp, *sides))


@pytest.mark.parametrize("fuse", FUNCTIONS)
def test_two_equal_pictures_are_fused_to_the_same(fuse):
    picture = np.random.default_rng(1).integers(0, 256, (37, 53), np.uint8)
    fused = fuse(picture, picture)
    assert fused.dtype == np.uint8
    # Pyramids and divided weights in floating point: a half may round to either side.
    assert np.abs(fused.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("fuse", FUNCTIONS)
def test_two_flat_pictures_are_averaged(fuse):
    """No source is preferred by mertens or laplacian; guided prefers a on a tie."""
    expected = 100 if fuse is classical.guided else 110
    assert (fuse(flat(100), flat(120)) == expected).all()


@pytest.mark.parametrize("fuse", FUNCTIONS)
def test_what_is_sharp_in_either_half_is_sharp_in_the_result(fuse, scene):
    sharp, left, right = scene

    def psnr(picture):
        return 10 * np.log10(255**2 / np.mean((picture.astype(float) - sharp) ** 2))

    assert psnr(fuse(left, right)) > 3 + max(psnr(left), psnr(right))


@pytest.mark.parametrize("fuse", FUNCTIONS)
def test_tiny_pictures_are_fused(fuse):
    assert fuse(flat(7)[:1, :3], flat(7)[:1, :3]).tolist() == [[7, 7, 7]]


def test_laplacian_takes_the_larger_coefficient_and_the_mean_of_the_rest():
    """Binomial windows see a checkerboard as flat: its band is its deviation."""
    fused = classical.laplacian(flat(100), checkerboard(50, 90))
    np.testing.assert_array_equal(fused, checkerboard(65, 105))
    weaker = classical.laplacian(checkerboard(50, 90), checkerboard(110, 80))
    np.testing.assert_array_equal(weaker, checkerboard(63, 103))  # (70 + 95) / 2 -+ 20


def test_mertens_weighs_contrast_and_exposedness():
    textured = checkerboard(117, 138)
    np.testing.assert_array_equal(classical.mertens(flat(100), textured), textured)
    # Equal contrast: the darker texture, its levels at 0.08 and 0.16, weighs by
    # exp(-(I - 0.5)^2 / 0.08) in place of 0.98.
    weight = np.mean([np.exp(-((x / 255 - 0.5) ** 2) / 0.08) for x in (20, 41)]) / 0.98
    expected = (127.5 + weight * 30.5) / (1 + weight)
    fused = classical.mertens(textured, checkerboard(20, 41))
    assert fused.mean() == pytest.approx(expected, abs=1)


def ridge_filter(picture, guide, radius, smoothness):
    """The guided filter by its definition: a ridge regression in each window."""

    def window(i, j):
        return (
            slice(max(i - radius, 0), i + radius + 1),
            slice(max(j - radius, 0), j + radius + 1),
        )

    lines = np.empty((2, *picture.shape))
    for place in np.ndindex(picture.shape):
        x, y = guide[window(*place)].ravel(), picture[window(*place)].ravel()
        # By least squares: one more equation, sqrt(n eps) slope = 0.
        equations = np.vstack(
            [np.c_[x, np.ones_like(x)], [np.sqrt(x.size * smoothness), 0]]
        )
        lines[:, *place] = np.linalg.lstsq(equations, np.r_[y, 0.0])[0]
    filtered = np.empty(picture.shape)
    for place in np.ndindex(picture.shape):
        slope, offset = lines[:, *window(*place)].mean(axis=(1, 2))
        filtered[place] = slope * guide[place] + offset
    return filtered


def test_guided_filter_averages_the_ridge_regressions_of_all_windows():
    picture, guide = np.random.default_rng(2).uniform(size=(2, 7, 9))
    np.testing.assert_allclose(
        classical.guided_filter(picture, guide, radius=2, smoothness=0.01),
        ridge_filter(picture, guide, 2, 0.01),
        rtol=1e-9,
    )


def test_guided_follows_the_paper_step_by_step():
    rng = np.random.default_rng(3)
    levels = [rng.integers(low, low + 90, (14, 18), np.uint8) for low in (20, 120)]
    sources = [x / 255 for x in levels]

    def filtered(picture, kernel):
        margin = len(kernel) // 2
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(picture, margin, mode="edge"), kernel.shape
        )
        return (windows * kernel).sum(axis=(2, 3))

    bases = [filtered(x, np.full((31, 31), 1 / 31**2)) for x in sources]
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 5**2))
    gaussian = np.outer(bell, bell) / bell.sum() ** 2
    cross = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    saliencies = [filtered(np.abs(filtered(x, cross)), gaussian) for x in sources]
    wins = saliencies[0] >= saliencies[1]
    expected = 0
    for radius, smoothness, layers in (
        (45, 0.3, bases),
        (7, 1e-6, [x - base for x, base in zip(sources, bases, strict=True)]),
    ):
        weights = [
            np.clip(ridge_filter(mask.astype(float), x, radius, smoothness), 0, 1)
            for mask, x in zip((wins, ~wins), sources, strict=True)
        ]
        expected = expected + (weights[0] * layers[0] + weights[1] * layers[1]) / sum(
            weights
        )
    fused = classical.guided(*levels)
    np.testing.assert_array_equal(fused, np.floor(255 * expected + 0.5))


def test_guided_keeps_detail_where_it_is_and_base_between(scene):
    sharp, left, right = scene
    fused = classical.guided(left, right)
    # Far from the seam the detail's weights are those of the sharp source; the bases
    # of the two, means of 31 x 31 pixels, hardly differ.
    far = np.abs(np.arange(WIDTH) - WIDTH // 2) > 2 * classical.DETAIL_RADIUS + 11
    assert np.abs(fused.astype(int) - sharp)[:, far].mean() < 2


@pytest.mark.parametrize("fuse", FUNCTIONS)
def test_missing_opencv_names_the_extra(fuse, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    expected = r"cv2 to fuse by classical.*pip install 'refusion-jax\[classical\]'"
    with pytest.raises(ImportError, match=expected):
        fuse(flat(1), flat(2))
