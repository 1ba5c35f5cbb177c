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


def test_guided_filter_averages_the_ridge_regressions_of_all_windows():
    rng = np.random.default_rng(2)
    picture, guide = rng.uniform(size=(2, 7, 9))
    radius, smoothness = 2, 0.01
    predictions = [[[] for _ in range(9)] for _ in range(7)]
    for i, j in np.ndindex(7, 9):
        window = (
            slice(max(i - radius, 0), i + radius + 1),
            slice(max(j - radius, 0), j + radius + 1),
        )
        x, y = guide[window].ravel(), picture[window].ravel()
        # Ridge regression by least squares: one more equation, sqrt(n eps) slope = 0.
        equations = np.vstack(
            [np.c_[x, np.ones_like(x)], [np.sqrt(x.size * smoothness), 0]]
        )
        line = np.linalg.lstsq(equations, np.r_[y, 0.0])[0]
        for k, m in np.ndindex(7, 9):
            if abs(k - i) <= radius and abs(m - j) <= radius:
                predictions[k][m].append(line @ [guide[k, m], 1])
    expected = [[np.mean(values) for values in row] for row in predictions]
    filtered = classical.guided_filter(
        picture, guide, radius=radius, smoothness=smoothness
    )
    np.testing.assert_allclose(filtered, expected, rtol=1e-9)


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
