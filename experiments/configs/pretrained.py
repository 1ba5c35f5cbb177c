"""How the weights that ship with the package are trained, one recipe per task.

    python experiments/pretrain.py --task=ivif --data=DATA --workdir=runs/ivif

One CPU core: ten minutes for medical pictures, a quarter of an hour for exposures, half
an hour each for focus and for infrared and visible.
Preset `default` and, per task, the rule that P starts from and the weight of the edges,
which the card of its weights tells. What the results score is in results/comparison.
"""

from typing import Any, NamedTuple

from refusion_jax.weights.pretrained import find_pretrained

COMMON: dict[str, Any] = {"holdout_pairs": 12, "steps_per_dispatch": 20}
# Twice the steps of `default`, on larger crops.
LONGER: dict[str, Any] = {"fusion_steps": 120, "crop_size": 64}

# Hand-made weights in P's place, after a short warm-up.
BY_RULE: dict[str, Any] = {
    "loss_weights": "rule",
    "imitation_steps": 0,
    "warm_up_share": 0.17,
    "meta_steps": 12,
    "epochs": 12,
    "crop_size": 64,
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
            **BY_RULE,
            "identical_share": 0.5,
            "fusion_steps": 480,
            "alpha_fusion": 0.5,
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
            **BY_RULE,
            "fusion_steps": 480,
            "alpha_ramp": False,
        },
    ),
    # Without identical pairs a large edge term inverts edges, whose sign it does not
    # know, and a small one leaves blocks of dark pictures standing out.
    "meif": Recipe(
        ("meif/sice512",),
        ("under", "over"),
        {
            **find_pretrained("meif").settings,
            **BY_RULE,
            "identical_share": 0.5,
            "fusion_steps": 240,
            "alpha_fusion": 0.5,
        },
    ),
}
# Sets name their functional source for what it is.
FUNCTIONAL = ("ct", "pet", "spect")
