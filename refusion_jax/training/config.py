"""Every setting of a run with its default, and the presets.

Each field of each section is one flag of `refusion train` and `experiments/train.py`;
field names are unique across sections. A config is checked on construction, so no
invalid config exists.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refusion_jax.files.atomic import replace_file
from refusion_jax.methods.protocol import Method
from refusion_jax.methods.registry import DEFAULT, find
from refusion_jax.methods.setting import check, require, setting
from refusion_jax.pictures.labels import VALUES as LABEL_VALUES
from refusion_jax.pictures.levels import check_rule
from refusion_jax.pictures.names import ALIGNMENTS, LEVELS

CONFIG_FILE = "config.json"  # in a run's folder


@dataclass(frozen=True)
class DataConfig:
    """The pairs to train on, and how patches are cut from them."""

    dataset: str = setting(
        "",
        "Name in data.catalogue; empty: source_a and source_b.",
        may_change=True,
    )
    data_dir: str = setting("data", "Folder of prepared data sets.", may_change=True)
    source_a: str = setting(
        "",
        "Folder of first sources: infrared, functional, near, under-exposed; several, "
        "separated by commas, are sets of equal weight.",
        may_change=True,
    )
    source_b: str = setting(
        "",
        "Folder of second sources: visible, MRI, far, over-exposed; as many as in "
        "source_a.",
        may_change=True,
    )
    labels: str = setting(
        "",
        "Folder of labels (masks) of the pairs in source_a and source_b; a prepared "
        "set has its own.",
        may_change=True,
    )
    label_values: str = setting(
        "index",
        "How labels are written, see pictures.labels: index (0 is unlabelled), shift "
        "(add 1) or binary (0 and 255).",
        choices=LABEL_VALUES,
    )
    align: str = setting(
        "none",
        "How to align pairs whose sizes differ, see pictures.alignment; none refuses "
        "them.",
        choices=ALIGNMENTS,
    )
    levels: str = setting(
        "full",
        "Black and white level of 16-bit grey, see pictures.levels: "
        f"{', '.join(LEVELS)} or LOW:HIGH.",
    )
    patches: bool = setting(
        False, "Whether to use fixed patches with contrast instead of random crops."
    )
    crop_size: int = setting(128, "Side of the patches.", at_least=8, unit="pixels")
    memory_budget: float = setting(
        4e9,
        "Most memory for pictures on the device; larger sets are streamed.",
        at_least=0,
        unit="bytes",
        may_change=True,
    )
    reader_count: int = setting(
        0,
        "Processes that read a streamed set; 0 uses threads.",
        at_least=0,
        unit="processes",
        may_change=True,
    )
    batch_size: int = setting(
        4,
        "Pairs that F sees per step, swapped copies included.",
        at_least=1,
        unit="pairs",
    )
    augment: bool = setting(
        True, "Whether crops are flipped and turned by quarters at random."
    )
    object_share: float = setting(
        0.0,
        "Share of crops laid over a labelled object, which is any class but the "
        "picture's most frequent one; 0 needs no labels.",
        at_least=0,
    )
    holdout_pairs: int = setting(
        2,
        "What is withheld from training for validation and pictures, unless "
        "validation_a and validation_b are given.",
        at_least=0,
        unit="pairs",
    )
    validation_a: str = setting(
        "",
        "Folder of first sources for validation, with validation_b; all other pairs "
        "are trained on.",
        may_change=True,
    )
    validation_b: str = setting(
        "", "Folder of second sources for validation.", may_change=True
    )
    validation_labels: str = setting(
        "",
        "Folder of labels for validation, for methods that need labels.",
        may_change=True,
    )
    judged_pairs: int = setting(
        8,
        "Largest number of held-out pairs whose fused pictures are scored after each "
        "epoch; the best mean rank marks the best checkpoint. 0 scores none.",
        at_least=0,
        unit="pairs",
    )

    def __post_init__(self) -> None:
        """Checks every field."""
        check(self)
        check_rule(self.levels)
        require(self.object_share <= 1, "object_share", "at most 1", self.object_share)
        require(
            bool(self.validation_a) == bool(self.validation_b),
            "validation_b",
            "given together with validation_a",
            self.validation_b,
        )


@dataclass(frozen=True)
class RunConfig:
    """The method, the length of the run, and when checkpoints are written."""

    method: str = setting(DEFAULT, "Method to train.")
    init: str = setting(
        "",
        "Weights to start from instead of random numbers: a run's folder, a "
        ".safetensors or .pth file, or the name of weights of the package. A network "
        "that they lack starts at random.",
    )
    epochs: int = setting(50, "L, the length of the run.", at_least=1, unit="epochs")
    seed: int = setting(0, "Seed of all randomness.", at_least=0)
    steps_per_dispatch: int = setting(
        5,
        "Steps that the device runs per call from the host.",
        at_least=1,
        unit="steps",
    )
    save_every: int = setting(
        500,
        "Interval between checkpoints; the end of each epoch saves one as well.",
        at_least=1,
        unit="steps",
        may_change=True,
    )
    keep_checkpoints: int = setting(
        3, "Newest checkpoints to keep, besides the best.", at_least=1, may_change=True
    )

    def __post_init__(self) -> None:
        """Checks every field."""
        check(self)
        find(self.method)


@dataclass(frozen=True)
class Config:
    """All settings of a run.

    Attributes:
      data: pairs and patches.
      settings: the method's settings, an instance of `Method.settings`.
      run: method and training loop.
    """

    data: DataConfig = DataConfig()
    settings: Any = field(default_factory=lambda: find(DEFAULT).settings())
    run: RunConfig = RunConfig()

    def __post_init__(self) -> None:
        """Checks settings that depend on more than one section.

        Raises:
          ValueError: naming the field, the allowed values and the actual one.
        """
        self.method.pairs_in_batch(self.settings, self.data.batch_size)

    @property
    def method(self) -> Method:
        """The method to train."""
        return find(self.run.method)

    @staticmethod
    def from_json(path: str | os.PathLike[str]) -> "Config":
        """Reads the settings of a run back.

        Args:
          path: a run's folder, its config.json, or a file of `to_json`. Settings that
            an older run lacks have their defaults.

        Returns:
          The config.

        Raises:
          FileNotFoundError: if there is no such file.
          ValueError: if the file holds something else, or a value is not allowed.
        """
        path = Path(path)
        path = path / CONFIG_FILE if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(
                f"expected the settings of a run, got no file at {path}; name a run's "
                "folder or its config.json."
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"expected settings as JSON, got {path} ({error}); name a run's "
                "folder or its config.json."
            ) from error
        values = content.get("config", content) if isinstance(content, dict) else None
        if not isinstance(values, dict):
            raise ValueError(
                f"expected setting to value in {path}, got {type(content).__name__}; "
                "name a run's folder or its config.json."
            )
        return with_fields(Config(), values)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Writes all settings, for `from_json`; the file appears whole or not at all.

        Args:
          path: the file; replaced if it exists.
        """
        text = json.dumps({"config": to_flat(self)}, indent=2)
        replace_file(Path(path), (text + "\n").encode())

    def diff(self, other: "Config") -> dict[str, tuple[Any, Any]]:
        """Compares with another config.

        >>> preset("paper").diff(preset("authors_script"))["swap"]
        (False, True)

        Args:
          other: to compare with.

        Returns:
          Each setting that differs, with the value here and the value there; None
          where the method of one does not have it.
        """
        ours, theirs = to_flat(self), to_flat(other)
        return {
            name: (ours.get(name), theirs.get(name))
            for name in {**ours, **theirs}
            if ours.get(name) != theirs.get(name)
        }


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of an older run under their names of today.

    Args:
      values: of its config.json.

    >>> upgraded({"fixed_weights": True, "seed": 3})
    {'seed': 3, 'loss_weights': 'equal'}
    """
    values = dict(values)
    if "fixed_weights" in values:
        is_equal = values.pop("fixed_weights")
        values["loss_weights"] = "equal" if is_equal else "learned"
    return values


def may_change(config: Config) -> set[str]:
    """Returns the names of the settings that may change when a run is resumed.

    Args:
      config: the run's config.
    """
    return {
        item.name
        for section in _sections(config).values()
        for item in dataclasses.fields(section)
        if item.metadata["may_change"]
    }


def to_flat(config: Config) -> dict[str, Any]:
    """Returns all fields in order, as one dictionary.

    Args:
      config: any config.

    Returns:
      Field name to value.
    """
    return {
        name: value
        for section in _sections(config).values()
        for name, value in dataclasses.asdict(section).items()
    }


def with_fields(config: Config, values: Mapping[str, Any]) -> Config:
    """Returns a copy with some fields replaced.

    Args:
      config: the base.
      values: field name to new value. A different `method` resets the settings to its
        defaults.

    Returns:
      The copy.

    Raises:
      ValueError: for an unknown field or a value that is not allowed.
    """
    values = upgraded(values)
    method = find(values.get("method", config.run.method))
    if method.name != config.run.method:
        config = Config(
            data=config.data,
            settings=method.settings(),
            run=dataclasses.replace(config.run, method=method.name),
        )
    known = to_flat(config)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(
            f"expected a setting among {', '.join(known)}, got {unknown[0]!r}; choose "
            "one of these."
        )
    sections = {}
    for place, section in _sections(config).items():
        own = {item.name for item in dataclasses.fields(section)}
        changes = {name: value for name, value in values.items() if name in own}
        sections[place] = dataclasses.replace(section, **changes)
    return Config(**sections)


def preset(name: str, method: str = DEFAULT) -> Config:
    """Returns a preset by name.

    Args:
      name: one of the method's presets.
      method: one of `methods.registry.names()`.

    Returns:
      A config.

    Raises:
      ValueError: for an unknown name; the message lists the presets.
    """
    presets = find(method).presets
    if name not in presets:
        raise ValueError(
            f"expected a preset among {', '.join(presets)}, got {name!r}; choose one "
            "of these."
        )
    return with_fields(Config(), {"method": method, **presets[name]})


def _sections(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("data", "settings", "run")}
