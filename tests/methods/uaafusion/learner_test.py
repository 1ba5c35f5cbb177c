"""A run of all phases through the trainer, interrupted and resumed; then fusing."""

import json
from functools import partial

import jax
import numpy as np
import pytest

from refusion_jax.data.device_batches import as_batch
from refusion_jax.methods.registry import find
from refusion_jax.methods.uaafusion.learner import UAAFusionLearner
from refusion_jax.methods.uaafusion.losses import cross_entropy
from refusion_jax.methods.uaafusion.nets import networks, segmentation
from refusion_jax.methods.uaafusion.nets.segmentation import segment
from refusion_jax.methods.uaafusion.phases import FROZEN, JOINT, PRETRAINING, UNGUIDED
from refusion_jax.methods.uaafusion.pretraining import mixed
from refusion_jax.methods.uaafusion.settings import Settings
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.trainer import train
from refusion_jax.weights.store import load_any_weights, load_model

SIDE = 16
VALUES = {
    "crop_size": SIDE,
    "batch_size": 2,
    "epochs": 3,
    "pretraining_epochs": 1,
    "frozen_epochs": 0,
    "pretraining_steps": 1,
    "unguided_epochs": 1,
    "unguided_steps": 1,
    "joint_steps": 1,
    "attribution_points": 1,
    "holdout_pairs": 1,
    "judged_pairs": 0,
}


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """S with 4 of its 17 blocks: the whole one takes minutes to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "BLOCKS", segmentation.BLOCKS[:4])
        networks._shapes.cache_clear()
        yield
    networks._shapes.cache_clear()


def triples():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 2, SIDE, SIDE), np.uint8)
    return [(a, b, (a > 127) + np.uint8(1)) for a, b in pictures]


def run(workdir):
    config = with_fields(preset("small", "uaafusion"), VALUES)
    return train(config, triples(), workdir, progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder)


def test_a_run_trains_the_segmentation_network_then_fusion_then_both(whole):
    folder, state = whole
    log = read_scalars(folder / "scalars.jsonl")
    assert [x["stage"] for x in log if x["stage"] != "validation"] == [
        PRETRAINING,
        UNGUIDED,
        JOINT,
    ]
    assert int(state.step) == 3
    assert (folder / "pictures" / "epoch_0003.png").exists()


def test_a_resumed_run_gives_the_same_bits(whole, tmp_path):
    folder, state = whole
    part = tmp_path / "part"
    (part / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "1").rename(part / "checkpoints" / "1")
    again = run(part)
    (start,) = json.loads((part / "environment.json").read_text())
    assert start["step"] == 1
    for one, other in zip(
        *(jax.tree.leaves(x.params) for x in (state, again)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_its_weights_fuse_with_guidance_and_without(whole):
    folder, _ = whole
    model = load_model(folder)
    a, b = (x[..., None].astype(np.float32) / 255 for x in triples()[0][:2])
    fused = model.fuse(a, b, precision="float32")
    maps = model.maps(a, b)
    assert [*maps] == ["w_i", "w_v", *(f"attention_{k}" for k in range(2, 6))]
    np.testing.assert_allclose(maps["w_i"] + maps["w_v"], 1, atol=1e-6)
    trees = load_any_weights(folder).trees
    alone = find("uaafusion").model({"fusion": trees["fusion"]}, "here", {})
    assert model.facts["classes"] == 3
    assert load_model(folder, is_fast=True).facts == {**model.facts, "classes": 0}
    assert alone.facts == {**model.facts, "classes": 0}
    assert np.abs(alone.fuse(a, b, precision="float32") - fused).max() > 1e-4
    with pytest.raises(ValueError, match="include the segmentation network, got here"):
        alone.maps(a, b)


def test_frozen_epochs_learn_with_the_network_of_fusing():
    learner = UAAFusionLearner(Settings(classes=3, frozen_epochs=1), 2, None)
    state = learner.init(jax.random.key(0))
    a, b, labels = (np.stack(x)[:2] for x in zip(*triples(), strict=True))
    batch = as_batch(a, b, labels)
    step = jax.jit(partial(learner.step, FROZEN))
    after, scalars = step(state, {"batch": batch}, learner.rates(1))
    equal = jax.tree.map(np.array_equal, state.params, after.params)
    assert all(jax.tree.leaves((equal.statistics, equal.fusion)))
    assert not any(jax.tree.leaves(equal.segmentation["decoder"]["classes"]))
    # The same random numbers as the step's.
    key, _ = jax.random.split(jax.random.fold_in(state.key, 0))
    picture = mixed(batch.source_a, batch.source_b, key)
    logits = jax.jit(segment)(*state.params[1:], picture)
    expected = cross_entropy(logits, labels.astype(np.int32))
    np.testing.assert_allclose(scalars["entropy"], expected, rtol=1e-5)


def test_pairs_without_labels_are_refused(tmp_path):
    config = with_fields(preset("small", "uaafusion"), VALUES)
    with pytest.raises(
        ValueError, match=r"expected labels with every pair .* --labels"
    ):
        train(config, [x[:2] for x in triples()], tmp_path, progress=False)


def test_step_sizes_fall_along_their_schedules():
    settings = Settings(pretraining_epochs=4, decay_every=2)
    learner = UAAFusionLearner(settings, 10, None)
    rates = [learner.rates(epoch) for epoch in range(9)]
    joint = [float(x.fusion) / 1e-4 for x in rates]
    np.testing.assert_allclose(joint[4:], [1, 1, 0.5, 0.5, 0.25], rtol=1e-6)
    pretraining = [float(x.pretraining) / 1e-3 for x in rates[:4]]
    np.testing.assert_allclose(pretraining, [0.5, 1, 0.51, 0.02], rtol=1e-6)


def test_step_sizes_of_unguided_epochs_come_before_the_joint_ones():
    settings = Settings(
        pretraining_epochs=2,
        frozen_epochs=1,
        unguided_epochs=4,
        unguided_learning_rate=1e-3,
        decay_every=1,
        learning_rate=3e-4,
    )
    learner = UAAFusionLearner(settings, 10, None)
    rates = [float(learner.rates(epoch).fusion) for epoch in range(2, 8)]
    assert learner.warm_up_epochs == 6
    unguided = [0.5e-3, 1e-3, 0.51e-3, 0.02e-3]
    np.testing.assert_allclose(rates, [*unguided, 3e-4, 1.5e-4], rtol=1e-6)
    assert [(x.name, [e for e in range(8) if x.is_in(e)]) for x in learner.stages] == [
        (PRETRAINING, [0]),
        (FROZEN, [1]),
        (UNGUIDED, [2, 3, 4, 5]),
        (JOINT, [6, 7]),
    ]


def test_variants_are_told_apart_by_their_trees():
    method, key = find("uaafusion"), jax.random.key(0)
    for variant in ("paper", "official"):
        learner = UAAFusionLearner(Settings(variant=variant), 1, None)
        fusion = jax.tree.map(
            lambda x: np.zeros(x.shape, np.float32),
            jax.eval_shape(learner.init, key).params.fusion,
        )
        assert method.model({"fusion": fusion}, "", {}).facts["variant"] == variant
        assert method.shapes("fusion", fusion).keys() >= fusion.keys() - {
            "start",
            "stages",
        }


def test_settings_say_what_is_wrong():
    with pytest.raises(
        ValueError, match="expected variant to be one of paper, official"
    ):
        Settings(variant="released")
    with pytest.raises(
        ValueError, match="pretraining_steps to be above 0 with pretraining"
    ):
        Settings(pretraining_steps=0)
    with pytest.raises(
        ValueError, match="unguided_steps to be above 0 with unguided_ep"
    ):
        Settings(unguided_epochs=1, unguided_steps=0)
    with pytest.raises(
        ValueError, match="joint_steps to be above 0 without pretraining_ep"
    ):
        Settings(pretraining_epochs=0, joint_steps=0)


def test_a_fusion_worse_for_segmentation_than_the_mean_is_said():
    verdict = find("uaafusion").verdict
    assert verdict({"miou_fused": 0.4, "miou_mean": 0.3}) == ""
    assert "0.200 against 0.300" in verdict({"miou_fused": 0.2, "miou_mean": 0.3})
