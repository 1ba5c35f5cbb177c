"""Every setting of a run with its default, and the presets.

The dataclasses are small and their field names unique, so that each field is one flag
of `experiments/train.py`. Nothing below the trainer sees them.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from refusion_jax.methods.precision import PRECISIONS
from refusion_jax.methods.refusion.gradients import MODES
from refusion_jax.pictures.alignment import ALIGNMENTS
from refusion_jax.pictures.levels import check_rule


@dataclass
class DataConfig:
    """Which pairs are trained on, and how patches are cut from them."""

    dataset: str = ""  # name in data.catalogue; empty: source_a and source_b
    data_dir: str = "data"  # where experiments/prepare.py puts data sets
    source_a: str = ""  # folder of first sources: infrared, functional, near, under
    source_b: str = ""  # folder of second sources: visible, MRI, far, over
    align: str = "none"  # two sizes in a pair: refuse them, or "crop" or "resize"
    levels: str = "full"  # range of 16-bit grey, see data.levels
    patches: bool = False  # fixed patches with contrast instead of random crops
    crop_size: int = 128  # pixels, square patches
    memory_budget: float = 4e9  # bytes of pictures on the device; larger sets stream
    reader_count: int = 0  # processes that read a streamed set; 0: threads
    batch_size: int = 4  # pairs that F sees in a step, swapped copies included
    augment: bool = True  # flips and quarter turns
    swap: bool = False  # half of each batch is the other half with sources exchanged
    holdout_pairs: int = 2  # pairs kept from training, for validation and pictures


@dataclass
class NetsConfig:
    """Variants of the networks."""

    interaction: bool = True  # cross attention in F's fusion module (VII: off)
    gating: bool = True  # gating in F's fusion module (VIII: off; VI: both off)
    reconstruction_width: int = 16  # channels of R's branches, a multiple of 8
    reconstruction_blocks: int = 2  # transformer blocks of each of R's branches


@dataclass
class LossConfig:
    """Eqs. 1 to 6."""

    alpha_fusion: float = 1.0  # alpha_1 of Eq. 1
    alpha_ramp: bool = False  # alpha_1 grows linearly over the epochs up to its value
    alpha_reconstruction: float = 1.0  # alpha_2 of Eq. 4
    weight_power: int = 1  # 1: Eqs. 2, 3; 2: weights squared, as in the authors' code
    reduction: str = "max"  # over the two sources in Eqs. 5, 6; "sum": ablation IV
    fixed_weights: bool = False  # w = v = 1/2 instead of P: ablation I


@dataclass
class MetaConfig:
    """The inner and outer update."""

    meta_gradient: str = "exact"  # see meta.gradients.meta_gradient
    inner_steps: int = 1  # SGD steps of the inner update; more needs "reverse"
    inner_learning_rate: float = 1e-4  # eta_F' = eta_R'
    accumulate: int = 1  # outer updates averaged into one step of P


@dataclass
class OptimConfig:
    """Optimisers and schedule."""

    learning_rate: float = 1e-4  # Adam of F and R
    proposal_learning_rate: float = 1e-4  # eta_P
    proposal_optimizer: str = "adam"  # or "max_norm": gradient / its largest entry
    decay_every: int = 0  # epochs between decays of all step sizes; 0: never
    decay_factor: float = 0.1


@dataclass
class RunConfig:
    """Algorithm 1's loop, and what is written when."""

    epochs: int = 50  # L
    meta_steps: int = 600  # M, per epoch
    fusion_steps: int = 1600  # N, per epoch
    seed: int = 0
    fusion_precision: str = "float32"  # of fusion steps, see nets.precision
    steps_per_dispatch: int = 5  # steps that run on the device without the host
    save_every: int = 500  # steps between checkpoints; each epoch's end saves as well
    keep_checkpoints: int = 3  # newest ones kept, beside the best


@dataclass
class Config:
    """All settings of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    nets: NetsConfig = field(default_factory=NetsConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    meta: MetaConfig = field(default_factory=MetaConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def validate(self) -> None:
        """Checks every field.

        Raises:
          ValueError: naming the field, what is allowed and what came.
        """
        values = to_flat(self)
        for name in _AT_LEAST_ONE:
            _require(values[name] >= 1, name, "at least 1", values[name])
        for name in _NOT_NEGATIVE:
            expected = "at least 0 and finite"
            _require(0 <= values[name] < float("inf"), name, expected, values[name])
        for name in _POSITIVE:
            _require(0 < values[name] < float("inf"), name, "positive", values[name])
        for name, choices in _CHOICES.items():
            expected = "one of " + ", ".join(str(choice) for choice in choices)
            _require(values[name] in choices, name, expected, values[name])
        width = self.nets.reconstruction_width
        _require(width % 8 == 0, "reconstruction_width", "a multiple of 8", width)
        _require(
            self.data.crop_size >= 8, "crop_size", "at least 8", values["crop_size"]
        )
        check_rule(self.data.levels)
        if self.data.swap:
            batch_size = self.data.batch_size
            _require(batch_size % 2 == 0, "batch_size", "even with swap", batch_size)
        if self.meta.inner_steps > 1 and self.meta.meta_gradient not in _MULTI_STEP:
            expected = "reverse when inner_steps is above 1"
            _require(False, "meta_gradient", expected, self.meta.meta_gradient)
        if self.loss.fixed_weights:
            expected = "0 with fixed_weights, which leave P nothing to learn"
            _require(
                self.run.meta_steps == 0, "meta_steps", expected, values["meta_steps"]
            )
        if self.run.meta_steps + self.run.fusion_steps == 0:
            _require(False, "fusion_steps", "positive when meta_steps is 0", 0)


_AT_LEAST_ONE = (
    "batch_size",
    "reconstruction_width",
    "reconstruction_blocks",
    "inner_steps",
    "accumulate",
    "epochs",
    "steps_per_dispatch",
    "save_every",
    "keep_checkpoints",
)
_NOT_NEGATIVE = (
    "memory_budget",
    "reader_count",
    "holdout_pairs",
    "alpha_fusion",
    "alpha_reconstruction",
    "decay_every",
    "meta_steps",
    "fusion_steps",
    "seed",
)
_POSITIVE = (
    "inner_learning_rate",
    "learning_rate",
    "proposal_learning_rate",
    "decay_factor",
)
_CHOICES: dict[str, tuple[Any, ...]] = {
    "align": ALIGNMENTS,
    "weight_power": (1, 2),
    "reduction": ("max", "sum"),
    "meta_gradient": MODES,
    "proposal_optimizer": ("adam", "max_norm"),
    "fusion_precision": PRECISIONS,
}
_MULTI_STEP = ("reverse", "stopped")


def _require(holds: bool, name: str, expected: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}, got {value!r}.")


def to_flat(config: Config) -> dict[str, Any]:
    """All fields as one dictionary, in order.

    Args:
      config: any config.

    Returns:
      Field name to value.
    """
    return {
        name: value
        for section in dataclasses.asdict(config).values()
        for name, value in section.items()
    }


def with_fields(config: Config, values: dict[str, Any]) -> Config:
    """A validated copy with some fields replaced.

    Args:
      config: the base.
      values: field name to new value.

    Returns:
      The copy.

    Raises:
      ValueError: for an unknown field or a value that is not allowed.
    """
    unknown = sorted(set(values) - set(to_flat(config)))
    if unknown:
        raise ValueError(
            f"Unknown setting {unknown[0]!r}. "
            f"Choose from: {', '.join(to_flat(config))}."
        )
    sections = {}
    for section_field in dataclasses.fields(config):
        section = getattr(config, section_field.name)
        names = {f.name for f in dataclasses.fields(section)}
        changes = {name: value for name, value in values.items() if name in names}
        sections[section_field.name] = dataclasses.replace(section, **changes)
    result = Config(**sections)
    result.validate()
    return result


def paper() -> Config:
    """Eqs. 1 to 12 and Algorithm 1 to the letter; Adam 1e-4 for all three networks."""
    return Config()


def authors() -> Config:
    """The authors' code habits, as far as they are known (see README's table)."""
    return with_fields(
        Config(),
        {
            "swap": True,
            "weight_power": 2,
            "alpha_ramp": True,
            "accumulate": 2,
            "proposal_optimizer": "max_norm",
            "decay_every": 10,
        },
    )


def default() -> Config:
    """What measured better where paper and code differ (experiments/README.md)."""
    return with_fields(Config(), {"swap": True, "weight_power": 2})


PRESETS = {"default": default, "paper": paper, "authors": authors}


def preset(name: str) -> Config:
    """A preset by name.

    Args:
      name: one of `PRESETS`.

    Returns:
      A fresh config.

    Raises:
      ValueError: listing the presets, if there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"Unknown preset {name!r}. Choose from: {', '.join(PRESETS)}.")
    return PRESETS[name]()
