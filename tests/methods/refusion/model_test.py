"""The model that fuses: the margin around pictures."""

import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.method import METHOD
from refusion_jax.methods.refusion.model import ReFusionModel
from refusion_jax.methods.refusion.settings import Settings
from refusion_jax.weights.store import load_any_weights, load_model, save_weights

CUT = 24  # pixels; F sees less far


@pytest.fixture(scope="module")
def trees():
    return load_any_weights("ivif").trees


def model(trees, margin):
    return ReFusionModel(trees, "here", {"margin": str(margin)} if margin else {})


def scene(height, width, seed):
    """Waves and a step: a picture that goes on beyond every border."""
    rows, columns = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    waves = np.sin(rows / 9 + phase[0]) + np.cos(columns / 7 + phase[1])
    picture = 0.5 + 0.15 * waves + 0.15 * (columns > width // 2)
    return jnp.asarray(picture[..., None], np.float32)


def test_a_part_of_a_picture_is_fused_as_in_the_whole(trees):
    pair = [scene(112, 112, seed) for seed in (0, 1)]
    whole = np.asarray(model(trees, 0).fuse(*pair))[CUT:-CUT, CUT:-CUT]
    parts = [x[CUT:-CUT, CUT:-CUT] for x in pair]
    errors = {}
    for margin in (0, 8):
        wrong = np.abs(np.asarray(model(trees, margin).fuse(*parts)) - whole)
        assert wrong[8:-8, 8:-8].max() < 0.01
        wrong[4:-4, 4:-4] = np.nan
        errors[margin] = np.nanmean(wrong)
    # Of the outermost four pixels; with zero padding more than five levels of 255.
    assert errors[0] > 5 / 255
    assert errors[8] < errors[0] / 3


def test_batches_fuse_as_single_pictures_do(trees):
    one, two = scene(1, 3, 0), scene(1, 3, 1)  # smaller than the margin
    ours = model(trees, 8)
    alone = np.asarray(ours.fuse(one, two))
    assert alone.shape == (1, 3, 1)
    for fuse in (ours.batched, ours.plainly):
        np.testing.assert_allclose(fuse(one[None], two[None])[0], alone, atol=1e-5)


def test_maps_are_of_the_size_of_the_picture_and_sum_to_one(trees):
    maps = model(trees, 8).maps(scene(24, 32, 0), scene(24, 32, 1))
    assert {x.shape for x in maps.values()} == {(24, 32)}
    np.testing.assert_allclose(maps["v_a"] + maps["v_b"], 1, atol=1e-6)


@pytest.mark.parametrize("margin", [0, 8])
def test_weights_remember_the_margin_of_their_training(trees, tmp_path, margin):
    notes = METHOD.notes(Settings(margin=margin))
    save_weights(tmp_path / "w.safetensors", trees, notes)
    assert load_model(tmp_path / "w.safetensors").facts["margin"] == margin


@pytest.mark.parametrize("note", ["eight", "-1", "1.5", ""])
def test_a_broken_margin_is_refused(trees, note):
    with pytest.raises(ValueError, match=r"expected a number of pixels .* got"):
        ReFusionModel(trees, "here", {"margin": note})
