"""Each adapter against a module of the same interface: nothing is sent anywhere."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from refusion_jax.training.loggers.choice import LOGGERS, Loggers, logger_names

PANEL = np.zeros((4, 6, 3), np.uint8)


class Recorder:
    """Notes every call, as (name, arguments)."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return call

    def named(self, name):
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


class FakeRun(Recorder):
    def __init__(self):
        super().__init__()
        self.config = Recorder()
        self.info = SimpleNamespace(run_id="known-to-mlflow")


def fake(monkeypatch, name):
    """A module whose functions note their calls; those that open a run return it."""
    module, run, calls = ModuleType(name), FakeRun(), Recorder()
    for function in ("log_params", "log_metrics", "log_image", "end_run"):
        setattr(module, function, getattr(calls, function))

    def opening(function):
        def open_run(**kwargs):
            calls.calls.append((function, (), kwargs))
            return run

        return open_run

    module.init, module.start_run = opening("init"), opening("start_run")
    module.Image = lambda array: ("image", array.shape)
    monkeypatch.setitem(sys.modules, name, module)
    return run, calls


def use(name, folder, resume_step=0):
    with Loggers([name], folder, resume_step=resume_step) as log:
        log.config({"seed": 3})
        log.scalars(7, "meta", {"loss": 0.5})
        log.image(7, "panel", PANEL)


def test_wandb_gets_settings_numbers_and_pictures(tmp_path, monkeypatch):
    run, calls = fake(monkeypatch, "wandb")
    use("wandb", tmp_path)
    use("wandb", tmp_path, resume_step=5)
    (_, first), (_, second) = calls.named("init")
    assert first["id"] == second["id"] and first["resume"] == "allow"
    assert first["project"] == "refusion" and first["dir"] == str(tmp_path)
    assert run.config.named("update")[0] == (
        ({"seed": 3},),
        {"allow_val_change": True},
    )
    assert run.named("log")[:2] == [
        (({"step": 7, "meta/loss": 0.5},), {}),
        (({"step": 7, "panel": ("image", PANEL.shape)},), {}),
    ]
    assert len(run.named("finish")) == 2


def test_mlflow_continues_the_run_that_it_named(tmp_path, monkeypatch):
    _, calls = fake(monkeypatch, "mlflow")
    use("mlflow", tmp_path)
    use("mlflow", tmp_path, resume_step=5)
    assert [kwargs for _, kwargs in calls.named("start_run")] == [
        {"run_name": tmp_path.name},
        {"run_id": "known-to-mlflow"},
    ]
    assert calls.named("log_params") == [(({"seed": 3},), {})]  # once: it takes no two
    assert calls.named("log_metrics")[0] == (({"meta/loss": 0.5},), {"step": 7})
    (image,), where = calls.named("log_image")[0]
    assert image is PANEL and where == {"key": "panel", "step": 7}
    assert len(calls.named("end_run")) == 2


def test_trackio_starts_with_the_settings(tmp_path, monkeypatch):
    run, calls = fake(monkeypatch, "trackio")
    monkeypatch.setenv("TRACKIO_PROJECT", "mine")
    use("trackio", tmp_path)
    use("trackio", tmp_path, resume_step=5)
    (_, first), (_, second) = calls.named("init")
    assert first["name"] == second["name"] and first["project"] == "mine"
    assert first["config"] == {"seed": 3} and first["resume"] == "allow"
    assert run.named("log")[:2] == [
        (({"meta/loss": 0.5},), {"step": 7}),
        (({"panel": ("image", PANEL.shape)},), {"step": 7}),
    ]
    assert len(run.named("finish")) == 2


def test_tensorboard_has_numbers_pictures_and_settings(tmp_path):
    pytest.importorskip("tensorboardX")
    use("tensorboard", tmp_path)
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    for part in (b"meta/loss", b"\x00\x00\x00\x3f", b"panel", b"\x89PNG", b"| seed |"):
        assert part in content  # 0.5 as a little-endian float is the second


@pytest.mark.parametrize("name", LOGGERS)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name):
    module = "tensorboardX" if name == "tensorboard" else name
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module} .*refusion-jax\[{name}\]'"):
        Loggers([name], tmp_path, resume_step=0)


def test_a_tracker_that_does_not_start_is_one_sentence(tmp_path, monkeypatch):
    def refuse(**_):
        raise RuntimeError("No API key configured.\nMore.")

    fake(monkeypatch, "wandb")
    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(ValueError, match=r"^expected wandb .*key configured; set it"):
        Loggers(["wandb"], tmp_path, resume_step=0)


@pytest.mark.parametrize("what", ["log_metrics", "log_image", "end_run"])
def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(
    tmp_path, monkeypatch, caplog, what
):
    def lose(*_, **__):
        raise OSError("the server is gone.")

    fake(monkeypatch, "mlflow")
    run, _ = fake(monkeypatch, "wandb")
    monkeypatch.setattr(sys.modules["mlflow"], what, lose)
    with Loggers(["mlflow", "wandb"], tmp_path, resume_step=0) as log:
        for step in (7, 8):
            log.scalars(step, "meta", {"loss": 0.5})
            log.image(step, "panel", PANEL)
    assert len(run.named("log")) == 4 and len(run.named("finish")) == 1
    told = [x.getMessage() for x in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("mlflow has failed (the server is gone) and is left out")


def test_a_logger_of_ones_own_that_fails_is_not_hidden(tmp_path):
    class Broken(Recorder):
        def scalars(self, *_):
            raise KeyError("a bug")

    with Loggers([], tmp_path, resume_step=0) as log:
        log.add(Broken())
        with pytest.raises(KeyError, match="a bug"):
            log.scalars(7, "meta", {"loss": 0.5})


def test_an_unknown_logger_is_refused():
    with pytest.raises(
        ValueError, match=r"among tensorboard, wandb.* got 'aim'; choos"
    ):
        logger_names("wandb,aim")
