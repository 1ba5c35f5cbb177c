"""Folds, and the pages of segmentation; the trainings are those of the learner."""

import numpy as np
import pytest
from segmentation.folding import withheld
from segmentation.parts import terms
from segmentation.writing import folds_page, methods_page

from refusion_jax.evaluation.segmentation import confusion

LABELS = np.array([1, 1, 1, 2])


def test_folds_withhold_each_pair_once():
    folds = [withheld(8, 4, fold) for fold in range(4)]
    assert sorted(i for fold in folds for i in fold) == [*range(8)]
    assert folds[1] == [1, 5]
    with pytest.raises(ValueError, match="expected 2 to 8 folds for 8 pairs, got 9"):
        withheld(8, 9, 0)


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
