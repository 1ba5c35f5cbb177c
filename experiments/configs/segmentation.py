"""Settings of the trainings with labels: leave-some-out, and S alone on pictures.

For few triples with masks of an object and its background, and one CPU core.
"""

from typing import Any

# S alone, of a run without joint steps: how `segment.py` judges fused pictures.
ALONE: dict[str, Any] = {
    "crop_size": 64,
    "batch_size": 2,
    "pretraining_epochs": 4,
    "pretraining_steps": 100,
    "epochs": 4,
    "joint_steps": 0,
    "judged_pairs": 0,
    "keep_checkpoints": 1,
}
# S, then F and S: how `folds.py` judges the method.
JOINT: dict[str, Any] = {
    **ALONE,
    "joint_steps": 40,
    "epochs": 6,
    "decay_every": 0,
    "learning_rate": 1e-3,  # few steps, from scratch
}
