"""Weights & Biases. Its own variables apply: WANDB_PROJECT, WANDB_MODE=offline, ..."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.extras import require
from refusion_jax.training.loggers.identity import chosen_name

PROJECT = "refusion"


class WandB:
    """Sends scalars, pictures and the settings to a run of Weights & Biases."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        """Starts a run, or continues that of the folder.

        Args:
          folder: of the run.
          resume_step: the step from which the run resumes.

        Raises:
          ImportError: if wandb is not installed.
        """
        self._wandb = require("wandb", extra="wandb", why="to log to Weights & Biases")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=chosen_name(folder, "wandb"),
            name=folder.resolve().name,
            dir=str(folder),
            resume="allow",
        )
        # An axis of our own, because wandb's may not go back, and a resumed run does.
        self._run.define_metric("*", step_metric="step")

    def config(self, values: Mapping[str, Any]) -> None:
        """Sends the settings; see `Logger`."""
        self._run.config.update(dict(values), allow_val_change=True)

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Sends numbers; see `Logger`."""
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self._run.log({"step": step, **named})

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Sends a picture; see `Logger`."""
        self._run.log({"step": step, name: self._wandb.Image(array)})

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()
