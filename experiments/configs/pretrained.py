"""How the weights that ship with the package are trained, one recipe per task.

    python experiments/pretrain.py --task=ivif --data=DATA --workdir=runs/ivif

One or two CPU cores, 5 to 15 minutes per task, half an hour for infrared and visible.
Preset `default` and, per task, the rule that P starts from and the weight of the edges,
which the card of its weights tells. What the results score is in results/comparison.
"""

from typing import Any, NamedTuple

from refusion_jax.weights.pretrained import find_pretrained

COMMON: dict[str, Any] = {"holdout_pairs": 12, "steps_per_dispatch": 20}
# Twice the steps of `default`, on larger crops.
LONGER: dict[str, Any] = {"fusion_steps": 120, "crop_size": 64}


# Hand-made weights in P's place, 800 steps without a warm-up.
BY_RULE: dict[str, Any] = {
    "loss_weights": "rule",
    "imitation_steps": 0,
    "warm_up_share": 0.0,
    "balanced": False,
    "reconstruction_noise": 0.0,
    "alpha_reconstruction": 1.0,
    "inner_learning_rate": 1e-4,
    "crop_size": 64,
    "epochs": 8,
    "meta_steps": 20,
    "fusion_steps": 100,
    "holdout_pairs": 8,
    "seed": 0,
}


class Recipe(NamedTuple):
    """What a task trains on, and how.

    Attributes:
      sets: folders below the data, as SET/train.
      sources: names of the folders of source a and b in each set.
      settings: what differs from the preset `default` and `COMMON`.
    """

    sets: tuple[str, ...]
    sources: tuple[str, str]
    settings: dict[str, Any]


RECIPES = {
    "ivif": Recipe(
        ("ivif/roadscene", "ivif/msrs"),
        ("infrared", "visible"),
        # Identical pairs teach F to leave black and bright places where they are:
        # without, they move by 10 and 20 levels.
        {
            **find_pretrained("ivif").settings,
            "loss_weights": "rule",
            "imitation_steps": 0,
            "meta_steps": 12,
            "warm_up_share": 0.17,
            "identical_share": 0.5,
            "fusion_steps": 480,
            "epochs": 12,
            "crop_size": 64,
            "alpha_fusion": 0.5,
            "seed": 0,
        },
    ),
    "mif": Recipe(
        ("mif/harvard_ct", "mif/harvard_pet", "mif/harvard_spect"),
        ("functional", "mri"),
        {**LONGER, **find_pretrained("mif").settings, "seed": 0},
    ),
    # The rule itself: P's balanced maps are too soft to choose between near and far,
    # and F sharpens both. Edges follow from the choice: their term may be small.
    "mfif": Recipe(
        ("mfif/mfvoc",),
        ("near", "far"),
        {
            **find_pretrained("mfif").settings,
            "loss_weights": "rule",
            "imitation_steps": 0,
            "meta_steps": 20,
            "warm_up_share": 0.17,
            "fusion_steps": 120,
            "epochs": 12,
            "crop_size": 64,
            "alpha_ramp": False,
            "seed": 0,
        },
    ),
    # A larger edge term inverts edges: it does not know their sign, and intensity
    # weights near 1/2 hardly say what it should be.
    "meif": Recipe(
        ("meif/sice512",),
        ("under", "over"),
        {**BY_RULE, **find_pretrained("meif").settings},
    ),
}
# Sets name their functional source for what it is.
FUNCTIONAL = ("ct", "pet", "spect")
