"""`refusion_jax.train` and `Run`, with a trainer that trains nothing."""

import json

import numpy as np
import pytest
from PIL import Image

import refusion_jax
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.runs import run as runs
from refusion_jax.training.config import preset, with_fields
from refusion_jax.weights.store import save_weights


@pytest.fixture
def folders(tmp_path, monkeypatch, params):
    """Two pairs; the trainer leaves what a run leaves."""
    monkeypatch.chdir(tmp_path)
    for side in "ab":
        (tmp_path / side).mkdir()
        for stem in range(2):
            pixels = np.full((50, 50), 40 * (stem + 1), np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{stem}.png")

    def leave(config, pairs, folder, *, held_out, loggers, progress):
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        config.to_json(folder / "config.json")
        save_weights(folder / "weights.safetensors", {"fusion": params})
        for epoch in (1, 0):
            (folder / "pictures" / f"epoch_{epoch:04d}.png").touch()
        ranks = {f"{x}_rank": 3.0 for x in ("average", "maximum")}
        ranks |= {f"{x}_rank": 4.0 for x in ("source_a", "source_b")}
        line = {"step": 9, "stage": "validation", "fused_rank": 1.5, **ranks}
        line["intensity_weights_spread"] = 0.001
        (folder / "scalars.jsonl").write_text(json.dumps(line) + "\n")

    monkeypatch.setattr(runs, "train_on", leave)
    return tmp_path


def test_a_run_tells_what_it_left(folders):
    run = refusion_jax.train("paper", "a", "b", "run", init="ivif", crop_size=16)
    expected = with_fields(
        preset("paper"),
        {"source_a": "a", "source_b": "b", "init": "ivif", "crop_size": 16},
    )
    assert run.config == expected
    assert [path.name for path in run.pictures()] == [
        "epoch_0000.png",
        "epoch_0001.png",
    ]
    assert [line["step"] for line in run.scalars()] == [9]
    verdict, ranks = run.learned()
    assert verdict.startswith("P is indifferent: w is nearly the same")
    assert ranks == (
        "mean rank of the fused pictures 1.50 among 5, 1 is best (average 3.00, "
        "maximum 3.00, source_a 4.00, source_b 4.00)."
    )
    assert isinstance(run.fuser(), Fuser)
    assert run.resume() == run and run.config == expected


def test_a_config_and_a_task_are_refused_together(folders):
    with pytest.raises(ValueError, match="either a config or a task, got both"):
        refusion_jax.train(preset("paper"), "a", "b", "run", task="ivif")


def test_validation_folders_are_opened(folders):
    run = refusion_jax.train(None, "a", "b", "run", validation=("a", "b"))
    assert (run.config.data.validation_a, run.config.data.validation_b) == ("a", "b")
    with pytest.raises(FileNotFoundError, match="none"):
        refusion_jax.train(None, "a", "b", "run", validation=("a", "none"))


def test_labels_are_read_for_crops_over_objects_whatever_the_method(folders):
    masks = folders / "masks"
    masks.mkdir()
    for path in (folders / "a").iterdir():
        with Image.open(path) as picture:
            mask = np.zeros((picture.height, picture.width), np.uint8)
        mask[:2] = 2
        Image.fromarray(mask).save(masks / f"{path.stem}.png")
    places = {"source_a": "a", "source_b": "b", "labels": "masks", "crop_size": 8}
    for share, count in ((0.0, 2), (0.5, 3)):
        config = with_fields(preset("paper"), {**places, "object_share": share})
        pairs, _ = runs.open_pairs(config)
        assert len(pairs[0]) == count
    given = {"validation_a": "a", "validation_b": "b"}  # which need no labels
    _, held_out = runs.open_pairs(with_fields(config, given))
    assert len(held_out[0]) == 2
