"""A worker's notes, without Ray."""

import json
import threading
from types import SimpleNamespace

import pytest

from refusion_jax.commands.batch import Stored
from refusion_jax.commands.cluster.fusing import FusingWorker
from refusion_jax.pictures.notes import note


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
