import numpy as np
import pytest

import refusion_jax


@pytest.fixture
def pair():
    """A picture of blobs, and the same scene 3 columns to the right, 2 rows down."""
    pytest.importorskip("SimpleITK")
    rows, columns = np.mgrid[:110, :130]
    rng = np.random.default_rng(0)
    scene = np.zeros((110, 130))
    for y, x in rng.uniform(0, (110, 130), (60, 2)):
        scene += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)
    scene = np.rint(scene / scene.max() * 255).astype(np.uint8)
    return scene[5:105, 10:130], scene[3:103, 7:127]


def test_a_shift_is_found_and_undone(pair):
    fixed, moving = pair
    motion = refusion_jax.register(moving, fixed, motion="translation")
    np.testing.assert_allclose(motion.matrix, [[1, 0, 3], [0, 1, 2]], atol=0.05)
    inside = (slice(5, -5), slice(5, -5))
    undone = motion.apply(moving)[inside].astype(int)
    assert np.abs(undone - fixed[inside]).max() <= 3


def test_a_missing_file_is_told(pair):
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        refusion_jax.register("missing.png", pair[0])
