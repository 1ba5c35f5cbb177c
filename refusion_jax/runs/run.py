"""A run of training: start it, look at it, fuse with it."""

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from refusion_jax.data.sources import PairSource
from refusion_jax.data.training_pairs import open_training_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.runs.settings import chosen_config
from refusion_jax.training.config import Config, with_fields
from refusion_jax.training.environment import FILE
from refusion_jax.training.loggers.choice import checked
from refusion_jax.training.loggers.protocol import Logger
from refusion_jax.training.quality import RIVALS
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.trainer import train as train_on
from refusion_jax.training.workdir import PICTURES, SCALARS

Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A run's folder and what can be done with it.

    Attributes:
      folder: holds settings, scalars, pictures, checkpoints and weights.
    """

    folder: Path

    @property
    def config(self) -> Config:
        """The settings."""
        return Config.from_json(self.folder)

    def fuser(self, **options: Any) -> Fuser:
        """Returns a `Fuser` with the newest weights.

        Args:
          **options: of `Fuser`.
        """
        return Fuser(self.folder, **options)

    def scalars(self) -> list[dict[str, Any]]:
        """Returns what was measured, oldest first: step, stage and numbers by name."""
        return read_scalars(self.folder / SCALARS)

    def validations(self) -> list[dict[str, Any]]:
        """Returns what was measured on held-out pairs, at the start and every epoch."""
        return [x for x in self.scalars() if x["stage"] == "validation"]

    def environment(self) -> list[dict[str, Any]]:
        """Returns what it ran on, one record per start, see `training.environment`."""
        records: list[dict[str, Any]] = json.loads((self.folder / FILE).read_text())
        return records

    def pictures(self) -> list[Path]:
        """Returns the panels of a held-out pair, one per epoch, oldest first."""
        return sorted((self.folder / PICTURES).glob("*.png"))

    def resume(
        self, *, loggers: Sequence[str | Logger] = (), progress: bool = True
    ) -> "Run":
        """Trains on from the newest checkpoint; a complete run stays as it is.

        Args:
          loggers: as for `train`.
          progress: whether to show a progress bar.

        Returns:
          This run.
        """
        return start(self.config, self.folder, loggers=loggers, progress=progress)

    def learned(self) -> list[str]:
        """Returns sentences on what the run has learned, seen on held-out pairs."""
        validations = self.validations()
        if not validations:
            return []
        last = validations[-1]
        verdict = self.config.method.verdict(last)
        sentences = [verdict or "nothing wrong is seen on the held-out pairs."]
        if "fused_rank" in last:
            others = ", ".join(f"{name} {last[f'{name}_rank']:.2f}" for name in RIVALS)
            sentences.append(
                f"mean rank of the fused pictures {last['fused_rank']:.2f} among "
                f"{1 + len(RIVALS)}, 1 is best ({others})."
            )
        return sentences


def train(
    config: Config | str | None,
    source_a: Place,
    source_b: Place,
    workdir: Place,
    *,
    task: str | None = None,
    validation: tuple[Place, Place] | None = None,
    init: Place | None = None,
    loggers: Sequence[str | Logger] = (),
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Trains on two folders of pictures; the same call resumes.

    Args:
      config: a config, the name of a preset, or None for the preset that suits.
      source_a: folder of first sources (infrared, functional, near, under-exposed).
      source_b: folder of second sources of the same names.
      workdir: folder of the run; created if it is missing.
      task: name of shipped weights, whose card has settings for such sources; with a
        preset only.
      validation: two folders of pairs to judge the run by; None withholds
        `holdout_pairs` of the others.
      init: weights to start from: a run's folder, a file or a name.
      loggers: what receives scalars and pictures besides the folder: names of
        `training.loggers.choice.LOGGERS`, or `Logger` objects.
      progress: whether to show a progress bar.
      **settings: any setting of `training.config.Config` by name.

    Returns:
      The run, complete.

    Raises:
      FileNotFoundError, ImportError, ValueError: in one sentence, for what cannot be
        read or is not allowed.
      NonFiniteError: if a scalar is not finite; checkpoints stay intact.
      Interrupted: after SIGTERM or Ctrl-C, once the run is saved.
    """
    given = {"source_a": os.fspath(source_a), "source_b": os.fspath(source_b)}
    if validation is not None:
        given["validation_a"], given["validation_b"] = (
            os.fspath(folder) for folder in validation
        )
    if init is not None:
        given["init"] = os.fspath(init)
    if isinstance(config, Config):
        base = config
        if task is not None:
            raise ValueError(
                "expected either a config or a task, got both; leave one out."
            )
        config = with_fields(base, {**given, **settings})
    else:
        config = chosen_config({**given, **settings}, preset_name=config, task=task)
    return start(config, workdir, loggers=loggers, progress=progress)


def start(
    config: Config,
    workdir: Place,
    *,
    loggers: Sequence[str | Logger] = (),
    progress: bool = True,
) -> Run:
    """Opens the pairs that a config names and trains on them, or resumes.

    Where nothing has been computed yet, the cores of a CPU share each batch.

    Args:
      config: all settings.
      workdir: folder of the run.
      loggers: as for `train`.
      progress: whether to show a progress bar.

    Returns:
      The run, complete.

    Raises:
      As `train` does.
    """
    loggers = checked(loggers)
    if jax.config.values["jax_num_cpu_devices"] <= 0:
        with contextlib.suppress(RuntimeError):  # of a JAX that has started
            split_cpu(config.data.batch_size)
    pairs, held_out = open_pairs(config)
    folder = Path(workdir)
    train_on(
        config, pairs, folder, held_out=held_out, loggers=loggers, progress=progress
    )
    return Run(folder)


def open_pairs(config: Config) -> tuple[PairSource, PairSource | None]:
    """Opens the pairs to train on, and those for validation if there are others.

    Args:
      config: its section `data` is read.

    Raises:
      As `data.training_pairs.open_training_pairs` does.
    """
    data = config.data
    needs_labels = config.method.needs_labels
    common: dict[str, Any] = {
        "align": data.align,
        "levels": data.levels,
        "crop_size": data.crop_size,
        "classes": config.method.classes or getattr(config.settings, "classes", None),
    }
    pairs = open_training_pairs(
        dataset=data.dataset,
        data_dir=data.data_dir,
        source_a=data.source_a,
        source_b=data.source_b,
        patches=data.patches,
        labels=data.labels,
        label_values=data.label_values if needs_labels or data.object_share else "",
        **common,
    )
    if not data.validation_a:
        return pairs, None
    if needs_labels and not data.validation_labels:
        raise ValueError(
            "expected labels with the pairs for validation, got none; name their "
            "folder with --validation_labels=FOLDER."
        )
    held_out = open_training_pairs(
        source_a=data.validation_a,
        source_b=data.validation_b,
        labels=data.validation_labels,
        label_values=data.label_values if needs_labels else "",
        **common,
    )
    return pairs, held_out
