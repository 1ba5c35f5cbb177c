"""Folds, and the pages of segmentation; the trainings are those of the learner."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segmentation.folding import withheld
from segmentation.parts import terms
from segmentation.writing import folds_page, methods_page

from refusion_jax.evaluation.segmentation import confusion

ROOT = Path(__file__).parents[2]
LABELS = np.array([1, 1, 1, 2])
# The binary with a threshold in place of trained networks.
THRESHOLD = """
import numpy as np
import segment
from launch import launch
from refusion_jax.evaluation.segmentation import confusion
segment.train_fold = lambda *_: {}
segment.judge = lambda _, x, labels: confusion(np.where(x > 127, 2, 1), labels, 3)
launch(segment.main)
"""


def test_folds_withhold_each_pair_once():
    folds = [withheld(8, 4, fold) for fold in range(4)]
    assert sorted(i for fold in folds for i in fold) == [*range(8)]
    assert folds[1] == [1, 5]
    with pytest.raises(ValueError, match="expected 2 to 8 folds for 8 pairs, got 9"):
        withheld(8, 9, 0)
    for fold in (-1, 4):
        with pytest.raises(ValueError, match="expected a fold from 0 to 3, got"):
            withheld(8, 4, fold)


def test_methods_are_tabulated_with_absent_classes_named():
    found = {
        "good": confusion(LABELS, LABELS, 4),
        "poor": confusion(np.array([1, 1, 2, 2]), LABELS, 4),
    }
    lines = methods_page(found, ["rest", "object"]).splitlines()
    assert lines[0] == "| trained and judged on | rest | object | class 3 | mean IoU |"
    assert lines[2] == "| good | 1.000 | 1.000 | - | 1.000 |"
    assert lines[3] == "| poor | 0.667 | 0.500 | - | 0.583 |"
    assert lines[4] == "| constant guess | 0.750 | 0.250 | 0.000 | - |"
    assert "Not in the labels: class 3." in lines[-1]


def test_folds_are_tabulated_with_the_constant_guess():
    good, poor = (confusion(x, LABELS, 3).tolist() for x in (LABELS, 0 * LABELS + 2))
    fold = {
        "fold": 0,
        "counts": {"infrared": good, "mean": poor},
        "changes": {"fast": 1.5},
        "decided": 0.25,
        "terms": {"total_loss": (0.5, 0.25)},
    }
    page = folds_page([fold, fold | {"fold": 1}])
    assert "| infrared | 1.000 | 1.000 | 1.000 |" in page
    assert "| mean | 0.250 | 0.250 | 0.250 |" in page
    assert "| constant guess | 0.250 | 0.250 | 0.250 |" in page
    assert "| fast | 1.50 | 1.50 |" in page
    assert "0.5000 to 0.2500" in page and "25 %" in page


def test_terms_are_those_before_and_after_joint_training(tmp_path):
    names = "total_loss intensity_loss_a intensity_loss_b gradient_loss entropy_fused"
    names = [*names.split(), "entropy_a", "entropy_b"]
    log = tmp_path / "scalars.jsonl"
    lines = [
        (0, "validation", 9.0),
        (4, "pretraining", None),
        (4, "validation", 8.0),
        (6, "joint", None),
        (6, "validation", 7.0),
    ]
    with log.open("w") as file:
        for step, stage, value in lines:
            values = {} if value is None else dict.fromkeys(names, value)
            text = {"step": step, "stage": stage, **values}
            file.write(f"{text}\n".replace("'", '"'))
    assert terms(log) == dict.fromkeys(names, (8.0, 7.0))


def run_by_threshold(folder, *flags):
    return subprocess.run(
        [
            sys.executable,
            *("-c", THRESHOLD),
            *(f"--{name}={folder / name}" for name in ("source_a", "source_b")),
            *(f"--labels={folder / 'labels'}", "--label_values=binary"),
            *(f"--workdir={folder / 'runs'}", "--folds=3", *flags),
        ],
        cwd=ROOT / "experiments",
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_binary_judges_each_method_on_all_pictures(tmp_path):
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (3, 128, 128), np.uint8) * np.uint8(255)
    for name, pictures in (
        ("source_a", masks),
        ("source_b", 255 - masks),
        ("labels", masks),
        ("theirs", masks // 2 + 100),
    ):
        (tmp_path / name).mkdir()
        for stem, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / name / f"{stem}.png")
    done = run_by_threshold(
        tmp_path, f"--method=theirs={tmp_path / 'theirs'}", "--names=rest,object"
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "runs" / "segmentation.json").read_text())
    assert [*counts] == ["source a", "source b", "average", "theirs"]
    assert all(np.sum(x) == masks.size for x in counts.values())
    page = (tmp_path / "runs" / "segmentation.md").read_text()
    assert page == done.stdout
    assert "| source a | 1.000 | 1.000 | 1.000 |" in page
    assert "| source b | 0.000 | 0.000 | 0.000 |" in page
    assert "| theirs | 1.000 | 1.000 | 1.000 |" in page
    twice = run_by_threshold(tmp_path, f"--method=average={tmp_path / 'theirs'}")
    assert twice.returncode == 1 and "with a name of its own" in twice.stderr


def test_folds_that_start_from_weights_are_named_one_by_one():
    done = subprocess.run(
        [
            *(sys.executable, "folds.py", "--source_a=a", "--source_b=b"),
            *("--labels=c", "--workdir=d", "--init=w", "--only=0,1"),
        ],
        cwd=ROOT / "experiments",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "expected --init with --only=FOLD" in done.stderr and "0,1" in done.stderr
