"""Settings of the trainings with labels: leave-some-out, and S alone on pictures.

For few triples with masks of an object and its background, and one CPU core.
"""

from typing import Any

# S alone, of a run without joint steps: how `segment.py` judges fused pictures.
ALONE: dict[str, Any] = {
    "crop_size": 128,
    "batch_size": 4,
    "pretraining_epochs": 6,
    "frozen_epochs": 3,
    "pretraining_steps": 100,
    "epochs": 6,
    "joint_steps": 0,
    "judged_pairs": 0,
    "keep_checkpoints": 1,
}
# S, then F without guidance, then both: how `folds.py` judges the method.
JOINT: dict[str, Any] = {
    **ALONE,
    "crop_size": 96,
    "batch_size": 1,
    "object_share": 1.0,
    "unguided_epochs": 4,
    "unguided_steps": 120,
    "joint_steps": 40,
    "epochs": 13,
    "decay_every": 1,
}
_BEFORE = JOINT["pretraining_epochs"] + JOINT["unguided_epochs"]
# Both, from weights of the first two phases.
ONLY_JOINT: dict[str, Any] = {
    **JOINT,
    "pretraining_epochs": 0,
    "unguided_epochs": 0,
    "epochs": JOINT["epochs"] - _BEFORE,
}
