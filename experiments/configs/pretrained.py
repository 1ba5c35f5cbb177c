"""How the weights that ship with the package are trained, one recipe per task.

    python experiments/pretrain.py --task=ivif --data=DATA --workdir=runs/ivif

Two CPU cores, about 10 minutes per task. F learns under hand-made weights
(`methods.refusion.hand_made`), R to rebuild the sources, P to imitate the rule, so that
loss maps can be drawn. What the results score is in results/pretrained.md.
"""

from typing import Any, NamedTuple

# 800 steps of F and R and 160 of P, whatever the task.
COMMON: dict[str, Any] = {
    "loss_weights": "rule",
    "weight_power": 2,
    "swap": True,
    "batch_size": 4,
    "crop_size": 64,
    "epochs": 8,
    "meta_steps": 20,
    "fusion_steps": 100,
    "steps_per_dispatch": 20,
    "schedule": "cosine",
    "learning_rate": 1e-3,
    "proposal_learning_rate": 2e-3,
    "alpha_ramp": True,
    "ramp_share": 1 / 3,
    "holdout_pairs": 8,
    "seed": 0,
}


class Recipe(NamedTuple):
    """What a task trains on, and how.

    Attributes:
      sets: folders below the data, as SET/train.
      sources: names of the folders of source a and b in each set.
      settings: what differs from `COMMON`.
    """

    sets: tuple[str, ...]
    sources: tuple[str, str]
    settings: dict[str, Any]


RECIPES = {
    # The brighter source and the stronger edge.
    "ivif": Recipe(
        ("ivif/roadscene", "ivif/msrs"),
        ("infrared", "visible"),
        {"rule": "brighter", "alpha_fusion": 1.0},
    ),
    "mif": Recipe(
        ("mif/harvard_ct", "mif/harvard_pet", "mif/harvard_spect"),
        ("functional", "mri"),
        {"rule": "brighter", "alpha_fusion": 0.5},
    ),
    # The sharper source; edges follow from it, so their term may be small.
    "mfif": Recipe(
        ("mfif/mfvoc",),
        ("near", "far"),
        {"rule": "sharper", "alpha_fusion": 0.05, "alpha_ramp": False},
    ),
    # Nearly the mean, with the stronger edge. A larger edge term inverts edges: it does
    # not know their sign, and intensity weights near 1/2 hardly say what it should be.
    "meif": Recipe(
        ("meif/sice512",),
        ("under", "over"),
        {"rule": "even", "alpha_fusion": 0.1},
    ),
}
# Sets name their functional source for what it is.
FUNCTIONAL = ("ct", "pet", "spect")
