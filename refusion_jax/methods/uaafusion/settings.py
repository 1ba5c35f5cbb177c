"""Every setting of UAAFusion with its default, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from refusion_jax.methods.setting import check, require, setting
from refusion_jax.methods.uaafusion.losses import CLASS_WEIGHTS

VARIANTS = ("paper", "official")
STARTS = ("pytorch", "identity")


@dataclass(frozen=True)
class Settings:
    """Variant, attribution, losses, optimisers, schedule."""

    variant: str = setting(
        "paper",
        "What the method says, or what the released code does (official): see "
        "methods.uaafusion.guidance.",
        choices=VARIANTS,
    )
    classes: int = setting(
        15,
        "Classes of the segmentation network, label 0 (unlabelled) included.",
        at_least=2,
    )
    attribution_points: int = setting(
        5, "K_a, points of the Integrated Gradients; fusing always uses 5.", at_least=1
    )
    joint_statistics: str = setting(
        "batch",
        "What S normalises by in the losses of joint steps: the batch, with dropout, "
        "or its running statistics.",
        choices=("batch", "running"),
    )
    gradient_weight: float = setting(1.0, "Weight of L_g.", at_least=0)
    segmentation_weight: float = setting(0.1, "Weight of L_s.", at_least=0)
    class_weights: str = setting(
        "equal",
        "Weights of the classes in all cross-entropies: equal, or root of the inverse "
        "share in the batch.",
        choices=CLASS_WEIGHTS,
    )
    learning_rate: float = setting(
        1e-4, "Adam's step size for F in joint steps.", is_positive=True
    )
    segmentation_learning_rate: float = setting(
        1e-4, "Adam's step size for S in joint steps.", is_positive=True
    )
    decay_every: int = setting(
        10, "Joint epochs between decays of both; 0 never decays.", at_least=0
    )
    decay_factor: float = setting(
        0.5, "Factor of each decay of the step sizes.", is_positive=True
    )
    pretraining_epochs: int = setting(
        10, "Epochs in which S alone learns, before the joint ones.", at_least=0
    )
    pretraining_steps: int = setting(
        100, "Updates of S per epoch of pre-training.", at_least=0
    )
    pretraining_learning_rate: float = setting(
        1e-3,
        "Adam's step size for S in pre-training; half in the first epoch, then along "
        "half a cosine.",
        is_positive=True,
    )
    frozen_epochs: int = setting(
        0,
        "Last epochs of pre-training, in which S normalises by its running statistics, "
        "which stay, and has no dropout: as in fusing.",
        at_least=0,
    )
    proximal_start: str = setting(
        "pytorch",
        "What F's proximal networks start as: PyTorch's random numbers, as in the "
        "released code, or nearly the identity, see methods.uaafusion.nets.identity.",
        choices=STARTS,
    )
    unguided_epochs: int = setting(
        0,
        "Epochs in which F alone learns without guidance (w = 1/2, no attention), from "
        "L_i, L_v and L_g; after S's own, before the joint ones.",
        at_least=0,
    )
    unguided_steps: int = setting(100, "Updates of F per unguided epoch.", at_least=0)
    unguided_learning_rate: float = setting(
        4e-4,
        "Adam's step size for F in unguided epochs; half in the first, then along half "
        "a cosine.",
        is_positive=True,
    )
    joint_steps: int = setting(100, "Updates of F and S per joint epoch.", at_least=0)

    def __post_init__(self) -> None:
        """Checks every field."""
        check(self)
        require(
            self.joint_steps > 0 or self.pretraining_epochs + self.unguided_epochs > 0,
            "joint_steps",
            "above 0 without pretraining_epochs and unguided_epochs",
            self.joint_steps,
        )
        for name in ("pretraining", "unguided"):
            steps, epochs = (getattr(self, f"{name}_{x}") for x in ("steps", "epochs"))
            require(
                steps > 0 or epochs == 0,
                f"{name}_steps",
                f"above 0 with {name}_epochs above 0",
                steps,
            )


# What a data set with two binary classes and few pictures needs; see experiments.
_SMALL = {
    "classes": 3,
    "class_weights": "root",
    "frozen_epochs": 5,
    "object_share": 0.75,
    "joint_statistics": "running",
    "learning_rate": 3e-4,
    "proximal_start": "identity",
    "unguided_epochs": 10,
}
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": {},
        # What the method says, and the released code where it is silent.
        "paper": {},
        # What the released code does, its defects included.
        "official": {"variant": "official"},
        # Few pictures with masks of an object and its background, two CPU cores.
        "small": {**_SMALL, "batch_size": 2, "crop_size": 64},
    }
)
