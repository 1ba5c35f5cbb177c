"""Runs that start from weights."""

import hashlib
import json

import jax
import numpy as np
import pytest

from refusion_jax.training import trainer
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.trainer import train
from refusion_jax.weights.store import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("tiny_method")


def config_with(**values):
    settings = {
        **{"crop_size": 16, "batch_size": 1, "epochs": 2, "meta_steps": 1},
        **{"fusion_steps": 2, "steps_per_dispatch": 2, "learning_rate": 1e-2},
        **{"holdout_pairs": 1, "judged_pairs": 0},
    }
    return with_fields(preset("paper", "tiny"), {**settings, **values})


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    return [tuple(generator.integers(0, 256, (2, 24, 20), np.uint8)) for _ in range(4)]


@pytest.fixture
def weights(tmp_path, tiny_method):
    """Weights of F and P; R is missing."""
    path = tmp_path / "given.safetensors"
    numbers = np.float32([0.3, -0.2, 0.1])
    trees = {"fusion": {"numbers": numbers}, "proposal": {"numbers": -numbers}}
    save_weights(path, trees, method=tiny_method)
    return path, trees


def assert_equal(tree, other):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_step_0_has_the_given_weights_and_the_rest_is_random(
    tmp_path, pairs, weights, monkeypatch
):
    seen = []
    validate = trainer._Run._validate

    def watch(self, state, step):
        if step == 0:
            seen.append(jax.device_get(state.params))
        return validate(self, state, step)

    monkeypatch.setattr(trainer._Run, "_validate", watch)
    path, trees = weights
    train(config_with(), pairs, tmp_path / "random", progress=False)
    config = config_with(init=str(path))
    train(config, pairs, tmp_path / "run", progress=False)
    random, given = seen
    assert_equal(given.fusion, trees["fusion"])
    assert_equal(given.proposal, trees["proposal"])
    assert_equal(given.reconstruction, random.reconstruction)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["config"]["init"] == str(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["init_sha256"] == digest


class Fault:
    """A logger that fails after some step."""

    def __init__(self, step):
        self.step = step

    def config(self, values):
        pass

    def scalars(self, step, stage, values):
        if step > self.step:
            raise RuntimeError("power is gone")

    def image(self, step, name, array):
        pass

    def close(self):
        pass


def test_a_resumed_run_does_not_start_again_from_the_weights(tmp_path, pairs, weights):
    path, _ = weights
    config = config_with(init=str(path))
    train(config, pairs, tmp_path / "whole", progress=False)
    with pytest.raises(RuntimeError, match="power is gone"):
        train(config, pairs, tmp_path / "cut", loggers=[Fault(3)], progress=False)
    assert (tmp_path / "cut" / "checkpoints" / "3").exists()
    path.unlink()  # they are needed no longer
    train(config, pairs, tmp_path / "cut", progress=False)
    whole, cut = (
        load_weights(tmp_path / name / "weights.safetensors").trees
        for name in ("whole", "cut")
    )
    assert_equal(cut, whole)
    records = json.loads((tmp_path / "cut" / "environment.json").read_text())
    assert [record["step"] for record in records] == [0, 3]
    before, after = (
        json.loads((tmp_path / name / "config.json").read_text())
        for name in ("whole", "cut")
    )
    assert before == after


def test_weights_of_other_networks_are_refused_before_anything_is_made(
    tmp_path, pairs, tree_of, light_method
):
    path = tmp_path / "r.safetensors"
    save_weights(path, {"reconstruction": tree_of("reconstruction")})
    settings = {"init": str(path), "reconstruction_blocks": 1}
    config = with_fields(preset("paper", light_method.name), settings)
    with pytest.raises(
        ValueError, match=r"expected the weights of reconstruction in .* for the settin"
    ):
        train(config, pairs, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_from_weights_is_another_run(tmp_path, pairs, weights):
    train(config_with(epochs=1), pairs, tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match="holds a run with init=, got"):
        train(
            config_with(epochs=1, init=str(weights[0])),
            pairs,
            tmp_path / "run",
            progress=False,
        )


def test_pairs_for_validation_leave_all_others_to_train_on(tmp_path, pairs):
    config = config_with(epochs=1)
    train(config, pairs, tmp_path / "run", held_out=pairs[:2], progress=False)
    with pytest.raises(ValueError, match="expected the pairs for validation of the"):
        train(config, pairs, tmp_path / "run", held_out=pairs[:1], progress=False)
    with pytest.raises(ValueError, match="expected the pairs for validation of the"):
        train(config, pairs, tmp_path / "run", progress=False)


def test_a_run_killed_in_its_first_save_starts_from_the_weights_again(
    tmp_path, pairs, weights
):
    """What Orbax leaves half-written has the step in its name, too."""
    path, _ = weights
    config = config_with(init=str(path))
    train(config, pairs, tmp_path / "whole", progress=False)
    with pytest.raises(RuntimeError, match="power is gone"):
        train(config, pairs, tmp_path / "cut", loggers=[Fault(0)], progress=False)
    saved = tmp_path / "cut" / "checkpoints"
    assert not list(saved.glob("[0-9]*"))
    (saved / "3.orbax-checkpoint-tmp").mkdir()
    train(config, pairs, tmp_path / "cut", progress=False)
    whole, cut = (
        load_weights(tmp_path / name / "weights.safetensors").trees
        for name in ("whole", "cut")
    )
    assert_equal(cut, whole)


def test_the_checksum_is_that_of_the_weights_that_the_run_started_from(
    tmp_path, pairs, weights, tiny_method
):
    path, trees = weights
    config = config_with(init=str(path))
    with pytest.raises(RuntimeError, match="power is gone"):
        train(config, pairs, tmp_path / "run", loggers=[Fault(0)], progress=False)
    moved = {**trees, "fusion": {"numbers": np.float32([1.0, 2.0, 3.0])}}
    save_weights(path, moved, method=tiny_method)
    train(config, pairs, tmp_path / "run", progress=False)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["init_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
