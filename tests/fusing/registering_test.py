import numpy as np
import pytest

import refusion_jax
from refusion_jax import Fuser
from refusion_jax.fusing import registering
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import Photograph
from refusion_jax.pictures.registration import Motion


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


@pytest.mark.parametrize("levels", ["auto", "min-max", "percentile", "0:16383"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_what_is_filled_in_does_not_shift_the_levels(
    hand_model, monkeypatch, levels, dtype
):
    """14 bits: all that is known keeps the grey that it has without a motion."""
    pytest.importorskip("SimpleITK")
    motion = Motion(np.array([[1, 0, 2], [0, 1, 0]]), (12, 16))
    monkeypatch.setattr(registering, "motion_of", lambda *_: motion)
    first, other = (
        Photograph(np.linspace(*ends, 192).reshape(12, 16).astype(dtype))
        for ends in ((0, 16383), (3000, 9000))
    )
    rules = {"levels": levels, "output_range": "none"}
    second = hand_model(lambda a, b: b)
    alone = [
        Fuser(second, **rules).fuse_photograph(x, x).pixels for x in (first, other)
    ]
    fuser = Fuser(second, **rules, align="register", border="fill")
    with pytest.warns(PictureWarning, match=r"shifted by 2\.0 and 0\.0"):
        fused = fuser.fuse_photograph(first, other).pixels
    assert fused.dtype == np.uint16
    expected = np.hstack([alone[1][:, 2:], alone[0][:, -2:]]).astype(int)
    np.testing.assert_allclose(fused.astype(int), expected, atol=40)
