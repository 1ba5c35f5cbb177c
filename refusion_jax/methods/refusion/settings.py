"""Every setting of ReFusion with its default, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from refusion_jax.methods.refusion.gradients import MODES, MULTI_STEP_MODES
from refusion_jax.methods.refusion.hand_made import RULES
from refusion_jax.methods.refusion.losses import REDUCTIONS
from refusion_jax.methods.refusion.optimizers import PROPOSAL_OPTIMIZERS
from refusion_jax.methods.setting import PRECISIONS, check, require, setting

LOSS_WEIGHTS = ("learned", "equal", "rule")


@dataclass(frozen=True)
class Settings:
    """Networks, losses, meta-gradient, optimisers, schedule; the paper's defaults."""

    interaction: bool = setting(
        True, "Cross attention in F's fusion module (ablation VII: off)."
    )
    gating: bool = setting(
        True, "Gating in F's fusion module (ablation VIII: off; VI: both off)."
    )
    decision: bool = setting(
        False,
        "Decision fusion (ablation V): F weighs the sources per pixel, I_f = w_a I_a + "
        "w_b I_b. The weights are F's own, and learn from P's loss as F does; what the "
        "paper does is not known.",
    )
    reconstruction_width: int = setting(
        16, "Width of R's branches.", at_least=1, multiple_of=8, unit="channels"
    )
    reconstruction_blocks: int = setting(
        2, "Depth of each of R's branches.", at_least=1, unit="transformer blocks"
    )

    alpha_fusion: float = setting(1.0, "alpha_1 of Eq. 1.", at_least=0)
    alpha_ramp: bool = setting(
        False, "Whether alpha_1 grows linearly over the epochs up to its value."
    )
    ramp_share: float = setting(
        1.0,
        "Share of the epochs after the warm-up over which alpha_1 rises to its value.",
        is_positive=True,
    )
    alpha_reconstruction: float = setting(1.0, "alpha_2 of Eq. 4.", at_least=0)
    reconstruction_noise: float = setting(
        0.0,
        "Standard deviation of noise added to the fused picture before R reads it, so "
        "that what F does not emphasise is lost to R.",
        at_least=0,
        unit="luminance of 0 to 1",
    )
    weight_power: int = setting(
        1,
        "Power of the weights in L_f: 1 as in Eqs. 2 and 3, 2 as in the authors' code.",
        choices=(1, 2),
    )
    reduction: str = setting(
        "max",
        "Reduction over the two sources in Eqs. 5 and 6; sum is ablation IV.",
        choices=REDUCTIONS,
    )
    loss_weights: str = setting(
        "learned",
        "Where w and v come from: P, which learns them; 1/2 everywhere (equal, "
        "ablation I); or a rule by hand, which P learns to imitate in its own steps.",
        choices=LOSS_WEIGHTS,
    )
    rule: str = setting(
        "brighter",
        "Hand-made rule that stands in for P (loss_weights=rule), or that P imitates "
        "in imitation_steps: brighter (the brighter source, the stronger edge), "
        "sharper (the source with more detail) or even (nearly the mean).",
        choices=tuple(RULES),
    )

    margin: int = setting(
        0,
        "Width of the border that is added to a picture before it is fused, by "
        "repeating its outermost pixels, and cut off afterwards: without it, the zero "
        "padding of F's convolutions leaves a rim. Not in training; 0 as in the paper.",
        at_least=0,
        unit="pixels",
        may_change=True,
    )

    balanced: bool = setting(
        False,
        "Whether P treats its sources alike and learns only where each is preferred, "
        "see methods.refusion.nets.proposal.",
    )
    warm_up_share: float = setting(
        0.0,
        "Share of the epochs, at the beginning, in which F learns with equal weights "
        "and without the gradient term (alpha_1 = 0), R learns as usual, and P learns "
        "only by imitation_steps.",
        at_least=0,
    )

    imitation_steps: int = setting(
        0,
        "Updates of P per epoch of the warm-up in which it imitates the rule; needs "
        "learned loss_weights. With 0, or without a warm-up, P starts at random.",
        at_least=0,
        unit="steps per epoch",
    )

    meta_gradient: str = setting(
        "exact",
        "Mode of the meta-gradient, see methods.refusion.gradients.",
        choices=MODES,
    )
    inner_steps: int = setting(
        1,
        "SGD steps of the inner update; more than one needs exact, reverse or stopped.",
        at_least=1,
    )
    direct_term: bool = setting(
        False,
        "Whether dL_f / dtheta_P is added to the meta-gradient, see "
        "methods.refusion.steps.outer_update; not part of the method.",
    )
    third_stage: bool = setting(
        True,
        "Whether F and R learn in fusion steps (Eqs. 11, 12). Ablation III: off; they "
        "keep every inner update instead (theta_F <- theta_F', theta_R <- theta_R'), "
        "and only a warm-up has fusion steps.",
    )
    joint_loss: bool = setting(
        False,
        "Whether fusion steps move F by L_f + L_r, so that L_r reaches F; with equal "
        "loss_weights this is ablation II, no meta-learning.",
    )
    inner_learning_rate: float = setting(
        1e-4, "eta_F' = eta_R', the step size of the inner update.", is_positive=True
    )
    accumulate: int = setting(
        1, "Outer updates that are averaged into one step of P.", at_least=1
    )

    identical_share: float = setting(
        0.0,
        "Share of the pairs of fusion updates whose sources become one picture, so "
        "that F learns to keep what both agree on; 0 is the paper.",
        at_least=0,
    )
    swap: bool = setting(
        False,
        "Whether half of each batch repeats the other half with sources exchanged.",
    )
    learning_rate: float = setting(
        1e-4, "Adam's step size for F and R.", is_positive=True
    )
    proposal_learning_rate: float = setting(
        1e-4, "eta_P, the step size of P.", is_positive=True
    )
    imitation_learning_rate: float = setting(
        2e-3, "Step size of P while it imitates a rule.", is_positive=True
    )
    proposal_optimizer: str = setting(
        "adam",
        "P's optimiser: adam on the meta-gradient / eta, or max_norm, the gradient "
        "divided by its largest entry.",
        choices=tuple(PROPOSAL_OPTIMIZERS),
    )
    schedule: str = setting(
        "steps",
        "How all step sizes fall: by decay_factor every decay_every epochs (steps), or "
        "along half a cosine to a fiftieth, after an epoch of warm-up (cosine).",
        choices=("steps", "cosine"),
    )
    decay_every: int = setting(
        0,
        "Interval between decays of all step sizes; 0: they never decay.",
        at_least=0,
        unit="epochs",
    )
    decay_factor: float = setting(
        0.1, "Factor of each decay of the step sizes.", is_positive=True
    )
    meta_steps: int = setting(
        600,
        "M, updates of P: outer updates, or imitation.",
        at_least=0,
        unit="steps per epoch",
    )
    fusion_steps: int = setting(
        1600, "N, updates of F and R.", at_least=0, unit="steps per epoch"
    )
    fusion_precision: str = setting(
        "float32",
        "Precision of fusion steps, see methods.precision; meta steps stay float32.",
        choices=PRECISIONS,
    )

    def __post_init__(self) -> None:
        """Checks every field, and the fields that depend on each other."""
        check(self)
        require(
            self.inner_steps == 1 or self.meta_gradient in MULTI_STEP_MODES,
            "meta_gradient",
            "exact, reverse or stopped with inner_steps above 1",
            self.meta_gradient,
        )
        require(
            self.loss_weights != "equal" or self.meta_steps == 0,
            "meta_steps",
            "0 with loss_weights=equal, which leaves P nothing to learn",
            self.meta_steps,
        )
        require(
            self.third_stage
            or (self.loss_weights == "learned" and self.meta_steps > 0),
            "third_stage",
            "true unless loss_weights is learned and meta_steps is above 0",
            self.third_stage,
        )
        require(
            self.imitation_steps == 0
            or (self.loss_weights == "learned" and self.warm_up_share > 0),
            "imitation_steps",
            "0 unless loss_weights is learned and warm_up_share is above 0",
            self.imitation_steps,
        )
        require(self.warm_up_share < 1, "warm_up_share", "below 1", self.warm_up_share)
        require(
            self.identical_share < 1, "identical_share", "below 1", self.identical_share
        )
        require(
            self.meta_steps + self.fusion_steps > 0,
            "fusion_steps",
            "above 0 with meta_steps of 0",
            self.fusion_steps,
        )


# The habits of the authors' code, as far as known (see docs/training.md).
AUTHORS: Mapping[str, Any] = MappingProxyType(
    {
        "swap": True,
        "weight_power": 2,
        "alpha_ramp": True,
        "accumulate": 2,
        "proposal_optimizer": "max_norm",
        "decay_every": 10,
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What learns: minutes on two CPU cores, three seeds on each of four tasks
        # (experiments/results/recipes). More epochs for more data.
        "default": {
            "margin": 8,
            "swap": True,
            "weight_power": 2,
            "balanced": True,
            "reconstruction_noise": 0.1,
            "alpha_reconstruction": 0.1,
            "alpha_ramp": True,
            "ramp_share": 1 / 3,
            "warm_up_share": 1 / 3,
            "imitation_steps": 60,
            "inner_learning_rate": 1e-3,
            "learning_rate": 1e-3,
            "proposal_learning_rate": 2e-4,
            "schedule": "cosine",
            "meta_steps": 12,
            "fusion_steps": 60,
            "epochs": 9,
            "crop_size": 48,
        },
        # Eqs. 1 to 12 and Algorithm 1 to the letter; Adam 1e-4 for all three networks.
        "paper": {},
        # From weights that fuse already (init): no warm-up, which would undo them, and
        # smaller steps.
        "fine_tune": {
            "margin": 8,
            "swap": True,
            "weight_power": 2,
            "balanced": True,
            "reconstruction_noise": 0.1,
            "alpha_reconstruction": 0.1,
            "inner_learning_rate": 1e-3,
            "learning_rate": 2e-4,
            "proposal_learning_rate": 1e-4,
            "schedule": "cosine",
            "meta_steps": 12,
            "fusion_steps": 60,
            "epochs": 4,
            "crop_size": 48,
        },
        "authors": AUTHORS,
        # A third party's script that derives from theirs leaves a term in P's gradient.
        "authors_script": {**AUTHORS, "direct_term": True},
    }
)

# What `ablate` takes as a word: variants of preset default, whose recipe they share.
# F has as many updates in all of them.
STUDIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "table5": (
            "ours: preset=default",
            "I: loss_weights=equal,imitation_steps=0,meta_steps=0",
            "II: joint_loss=true,loss_weights=equal,imitation_steps=0,meta_steps=0",
            # After the warm-up a meta step for every fusion step of the others.
            "III: third_stage=false,meta_steps=60",
            "IV: reduction=sum",
            "V: decision=true",
            "VI: interaction=false,gating=false",
            "VII: interaction=false",
            "VIII: gating=false",
        )
    }
)
