"""Each adapter with the real package, on this machine; skipped where there is none."""

import sqlite3

import numpy as np
import pytest
from PIL import Image

from refusion_jax.training.loggers.choice import Loggers

pytestmark = pytest.mark.filterwarnings("ignore")  # of those packages
PANEL = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def use(name, folder):
    """A run that is interrupted and resumed."""
    for step in (1, 6):
        with Loggers([name], folder, resume_step=step - 1) as log:
            log.config({"seed": 3, "task": "", "swap": True})
            log.scalars(step, "meta", {"loss": 0.5})
            log.image(step, "panel", PANEL)


def rows(database, query):
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


def are_panels(folder):
    found = [np.asarray(Image.open(path)) for path in folder.rglob("*.png")]
    return len(found) == 2 and all(np.array_equal(x, PANEL) for x in found)


def test_wandb_keeps_a_run_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    pytest.importorskip("wandb")
    use("wandb", tmp_path)
    files = list(tmp_path.rglob("*.wandb"))
    assert len(files) == 2 and len({x.name for x in files}) == 1  # one run, two parts
    assert all(b"meta/loss" in x.read_bytes() for x in files)
    assert are_panels(tmp_path)


def test_mlflow_keeps_a_run_in_a_database(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    use("mlflow", tmp_path)
    found = rows("mlflow.db", "select key, value, step from metrics order by step")
    assert found == [("meta/loss", 0.5, 1), ("meta/loss", 0.5, 6)]
    assert rows("mlflow.db", "select status from runs") == [("FINISHED",)]
    assert ("seed", "3") in rows("mlflow.db", "select key, value from params")
    assert are_panels(tmp_path)


def test_trackio_keeps_a_run_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # is read at the import
    pytest.importorskip("trackio")
    use("trackio", tmp_path)
    database = tmp_path / "refusion.db"
    found = rows(database, "select run_name, step, metrics from metrics order by id")
    assert len({name for name, _, _ in found}) == 1
    assert [(step, b"meta/loss" in x) for _, step, x in found] == [
        *((1, True), (1, False)),
        *((6, True), (6, False)),
    ]
    assert are_panels(tmp_path)
