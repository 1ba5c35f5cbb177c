"""A segmentation network of one's own: fusing, training, and through the registry."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from PIL import Image

from refusion_jax import Fuser
from refusion_jax.methods import registry
from refusion_jax.methods.uaafusion.model import UAAFusionModel
from refusion_jax.methods.uaafusion.own import with_network
from refusion_jax.runs.run import open_pairs
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.trainer import train
from refusion_jax.weights.store import load_model

SIDE, NAME = 16, "uaafusion-mine"
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (3, 2, SIDE, SIDE), np.uint8)


def bright(image):
    """Tells bright pixels (2) from dark ones (1)."""
    return jnp.concatenate([0 * image, 0.5 - image, 4 * (image - 0.5)], axis=-1)


def indifferent(image):
    return jnp.concatenate([0 * image, 0 * image, 0 * image + 1], axis=-1)


@pytest.fixture
def mine():
    registry.register(with_network(bright, name=NAME))
    yield
    registry.unregister(NAME)


def test_a_run_trains_the_fusion_network_alone_and_its_weights_fuse(mine, tmp_path):
    values = {
        "crop_size": SIDE,
        "batch_size": 2,
        "epochs": 1,
        "unguided_epochs": 0,
        "joint_steps": 2,
        "attribution_points": 1,
        "holdout_pairs": 1,
        "judged_pairs": 0,
        "steps_per_dispatch": 2,
    }
    config = with_fields(preset("small", NAME), values)
    triples = [(a, b, (a > 127) + np.uint8(1)) for a, b in PICTURES]
    state = train(config, triples, tmp_path, progress=False)
    assert int(state.step) == 2 and state.params._fields == ("fusion",)
    first, *_, last = (
        x for x in read_scalars(tmp_path / "scalars.jsonl") if "miou_mean" in x
    )
    # The network does not learn, but the fused picture does change.
    assert first["entropy_a"] == last["entropy_a"]
    assert first["total_loss"] != last["total_loss"]

    model = load_model(tmp_path)
    assert model.facts["classes"] == 3
    a, b = (x[..., None].astype(np.float32) / 255 for x in PICTURES[0])
    fused = model.fuse(a, b, precision="float32")
    # All that S does is: weights of its regions, and attention.
    trees = {"fusion": state.params.fusion}
    alone, apart = (
        np.asarray(UAAFusionModel(trees, "", network=x).fuse(a, b))
        for x in (None, indifferent)
    )
    np.testing.assert_allclose(apart, alone, atol=1e-6)
    assert np.abs(np.asarray(fused) - alone).max() > 1e-4
    maps = model.maps(a, b)
    np.testing.assert_allclose(maps["w_i"] + maps["w_v"], 1, atol=1e-6)
    written = Fuser(model, output_range="none").fuse(*PICTURES[0])
    np.testing.assert_allclose(written, 255 * np.asarray(fused)[..., 0], atol=0.51)


@pytest.mark.parametrize(("largest", "is_read"), [(2, True), (3, False)])
def test_labels_are_those_that_the_network_knows(mine, tmp_path, largest, is_read):
    """Not those of the settings of S, which say 15."""
    for side in ("a", "b", "mask"):
        (tmp_path / side).mkdir()
        picture = np.zeros((SIDE, SIDE), np.uint8)
        picture[:4] = largest
        Image.fromarray(picture).save(tmp_path / side / "1.png")
    places = {"source_a": "a", "source_b": "b", "labels": "mask"}
    places = {name: str(tmp_path / place) for name, place in places.items()}
    config = with_fields(preset("small", NAME), {**places, "crop_size": SIDE})
    refusal = pytest.raises(ValueError, match=r"labels below 3 .*got 3")
    with contextlib.nullcontext() if is_read else refusal:
        pairs, _ = open_pairs(config)
        assert pairs[0][2].max() == 2


def test_the_network_tells_its_number_of_classes():
    shapes = jax.eval_shape(
        with_network(bright, name=NAME)
        .learner(preset("small", "uaafusion").settings, 1, None)
        .init,
        jax.random.key(0),
    )
    assert [*shapes.params._asdict()] == ["fusion"]
    trees = {"fusion": {"start": 0, "stages": 0, "step_sizes": 0}}
    assert UAAFusionModel(trees, "", network=bright).facts["classes"] == 3


@pytest.mark.parametrize("network", [bright, None])
def test_sizes_left_open_are_refused_in_a_sentence(network):
    trees = {"fusion": {"start": 0, "stages": 0}}
    model = UAAFusionModel(trees, "runs/x", network=network)
    image = jax.ShapeDtypeStruct(export.symbolic_shape("n, h, w, 1"), jnp.float32)
    with pytest.raises(ValueError, match=r"can be exported, got runs/x of uaafusion"):
        jax.eval_shape(model.batched, image, image)
