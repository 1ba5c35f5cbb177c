"""A method of 40 lines trains, checkpoints, resumes and fuses like the real ones."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax import Fuser
from refusion_jax.cli import main
from refusion_jax.methods import registry
from refusion_jax.methods.protocol import Draw, Method, Stage, TrainState
from refusion_jax.methods.setting import check, setting
from refusion_jax.training.config import preset, to_flat, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.trainer import train
from refusion_jax.weights.store import load_model, load_weights


class Trees(NamedTuple):
    mix: dict


@dataclass(frozen=True)
class Settings:
    steps: int = setting(4, "Steps per epoch.", at_least=1)
    rate: float = setting(0.5, "Step size.", is_positive=True)

    def __post_init__(self):
        check(self)


class Learner:
    """Learns the share of source a that comes closest to the brighter source."""

    best, headline = "loss", {"L": "loss"}
    warm_up_epochs = 0

    def __init__(self, settings, epochs, mesh):
        self.settings = settings
        self.stages = (Stage("mixing", settings.steps, (Draw("pairs", 3, "all"),)),)

    def init(self, key):
        share = {"share": jax.random.uniform(key, ())}
        return TrainState(Trees(share), Trees({}), jnp.zeros((), jnp.int32), key)

    def rates(self, epoch):
        return jnp.asarray(self.settings.rate / (epoch + 1), jnp.float32)

    def loss(self, mix, batch):
        a, b = batch.source_a, batch.source_b
        fused = mix["share"] * a + (1 - mix["share"]) * b
        return jnp.square(fused - jnp.maximum(a, b)).mean()

    def step(self, stage, state, batches, rate):
        loss, grads = jax.value_and_grad(self.loss)(state.params.mix, batches["pairs"])
        mix = jax.tree.map(lambda p, g: p - rate * g, state.params.mix, grads)
        return state._replace(params=Trees(mix), step=state.step + 1), {"loss": loss}

    def validate(self, params, batch):
        return {"loss": self.loss(params.mix, batch)}

    def look(self, params, batch):
        return [{"share": np.full(batch.source_a.shape[1:3], params.mix["share"])}]


@pytest.fixture
def toy(hand_model):
    """The method, registered for one test."""

    def model(trees, origin, notes):
        share = trees["mix"]["share"]
        return hand_model(lambda a, b: share * a + (1 - share) * b)

    method = Method(
        name="toy",
        title="A toy",
        trees=Trees._fields,
        settings=Settings,
        presets={"slow": {"rate": 0.1}},
        pairs_in_batch=lambda settings, batch_size: batch_size,
        shapes=lambda name, leaves: {"share": ()},
        remark=lambda name, tree: "",
        learner=Learner,
        verdict=lambda scalars: "The toy is wrong." if scalars["loss"] > 1e-6 else "",
        model=model,
        notes=lambda settings: {},
    )
    registry.register(method)
    yield method
    registry.unregister(method.name)


def pairs():
    """Source a is everywhere the brighter one: its share should become 1."""
    darker = np.random.default_rng(0).integers(0, 100, (4, 16, 16), np.uint8)
    return [(picture + 120, picture) for picture in darker]


def run(workdir, **values):
    values = {"crop_size": 8, "epochs": 2, "holdout_pairs": 1, **values}
    config = with_fields(preset("slow", "toy"), {"rate": 0.5, **values})
    return train(config, pairs(), workdir, progress=False)


def test_it_trains_and_fuses_through_the_same_trainer_and_fuser(toy, tmp_path):
    state = run(tmp_path, epochs=40)
    losses = [x["loss"] for x in read_scalars(tmp_path / "scalars.jsonl")]
    assert losses[-1] < 0.3 * losses[0]
    assert float(state.params.mix["share"]) == pytest.approx(1, abs=0.02)
    saved = load_weights(tmp_path / "weights.safetensors")
    assert saved.method is toy
    assert saved.trees["mix"]["share"] == state.params.mix["share"]
    bright, dark = pairs()[0]
    fused = Fuser(load_model(tmp_path), output_range="none").fuse(bright, dark)
    assert np.abs(fused - bright.astype(float)).max() < 5
    assert (tmp_path / "pictures" / "epoch_0040.png").exists()


def test_a_run_says_what_is_wrong_with_what_it_learns(toy, tmp_path, caplog, capsys):
    run(tmp_path, epochs=2, rate=1e-6)
    said = [x.getMessage() for x in caplog.records if x.levelname == "WARNING"]
    assert said == [f"After epoch {epoch}: The toy is wrong." for epoch in (1, 2)]
    assert main(["info", str(tmp_path)]) == 0
    assert "\nlearned: The toy is wrong.\n" in capsys.readouterr().out


def test_what_a_warm_up_makes_is_not_judged(toy, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(Learner, "warm_up_epochs", 1)
    run(tmp_path, epochs=3, rate=1e-6)
    said = [x.getMessage() for x in caplog.records if x.levelname == "WARNING"]
    assert said == [f"After epoch {epoch}: The toy is wrong." for epoch in (2, 3)]


def test_it_resumes_to_the_same_bits(toy, tmp_path):
    whole = run(tmp_path / "whole")
    part = tmp_path / "part"
    run(part)
    (last,) = (part / "checkpoints").glob("8")
    last.rename(part / "checkpoints" / "8.orbax-checkpoint-tmp-0")  # killed on the way
    again = run(part)
    starts = json.loads((part / "environment.json").read_text())
    assert [start["step"] for start in starts] == [0, 4]
    assert int(again.step) == 8
    assert again.params.mix["share"] == whole.params.mix["share"]


def test_its_settings_are_part_of_the_config(toy):
    config = preset("slow", "toy")
    assert (config.method, config.settings.rate) == (toy, 0.1)
    assert {"steps", "rate", "epochs", "method"} <= set(to_flat(config))
    with pytest.raises(ValueError, match="rate to be above 0 and finite, got -1"):
        with_fields(config, {"rate": -1.0})
    with pytest.raises(ValueError, match=r"expected a setting among .*, got 'swap'"):
        with_fields(config, {"swap": True})


def test_names_of_methods_are_unique(toy):
    with pytest.raises(ValueError, match="got 'toy', which is taken"):
        registry.register(toy)
    with pytest.raises(ValueError, match=r"a method among refusion, .*got 'toys'"):
        registry.find("toys")
