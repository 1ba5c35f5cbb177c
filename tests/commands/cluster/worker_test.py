"""What a worker gets and tells, without Ray."""

import json
import pickle
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from refusion_jax import Fuser
from refusion_jax.commands.batch import Stages, Stored
from refusion_jax.commands.cluster import fusing
from refusion_jax.commands.cluster.fusing import FusingWorker
from refusion_jax.commands.cluster.options import Cluster
from refusion_jax.commands.jobs import Job
from refusion_jax.methods.refusion import forward
from refusion_jax.pictures.notes import note
from refusion_jax.weights.store import save_weights


@pytest.fixture
def worker(monkeypatch):
    """Stores its second picture, and notes it, between the telling of both."""
    is_fused, is_told, is_stored = (threading.Event() for _ in range(3))

    def work(name):
        if name == "b":
            is_fused.set()
        return name

    def store(self, errand, name):
        assert (is_fused if name == "a" else is_told).wait(10)
        note(f"{name} is odd.")
        if name == "b":
            is_stored.set()
        return Stored(None, (1, 2), {})

    tell = FusingWorker._told

    def told(self, errand, *others):
        result = tell(self, errand, *others)
        is_told.set()
        assert is_stored.wait(10)
        return result

    monkeypatch.setattr(FusingWorker, "_load", lambda self, errand: errand.stem)
    monkeypatch.setattr(FusingWorker, "_store", store)
    monkeypatch.setattr(FusingWorker, "_told", told)
    made = object.__new__(FusingWorker)
    made._stages, made._recipe = SimpleNamespace(work=work), SimpleNamespace(threads=2)
    return made


def test_notes_between_two_outcomes_are_told_too(worker):
    items = [json.dumps([i, name, [], "out.png"]) for i, name in enumerate("ab")]
    told = [json.loads(text)["notes"] for text in worker(items)]
    assert told == [
        [["PictureWarning", "a is odd."]],
        [["PictureWarning", "b is odd."]],
    ]


def test_the_weights_travel_with_the_recipe(tmp_path, params, monkeypatch):
    """On a machine that lacks their file."""
    file, sent = tmp_path / "weights.safetensors", []
    save_weights(file, {"fusion": params})
    fuser = Fuser(file, output_range="source")

    def spread(items, make, arguments, *_, **__):
        sent.append(pickle.dumps(arguments))
        return []

    monkeypatch.setattr(fusing, "spread", spread)
    monkeypatch.setattr(fusing, "running", lambda cluster: nullcontext())
    stages = Stages(fuser, fuser.provenance, False, False, True, None)
    job = Job("x", (tmp_path / "a.png", tmp_path / "b.png"), tmp_path / "x.png")
    options = {"threads": 1, "is_cached": False, "max_pixels": None}
    assert not list(fusing.fuse_by_ray([job], stages, Cluster(None, 1), **options))
    file.unlink()
    ((recipe,),) = map(pickle.loads, sent)
    seen = []

    def first(tree, a, b, **_):
        seen.append(tree)
        return a

    monkeypatch.setattr(forward, "fuse_luminance", first)
    copy = recipe.stages.fuser
    copy.fuse(*np.zeros((2, 3, 4), np.uint8))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(seen[0]), params)
    assert copy.rules == fuser.rules
