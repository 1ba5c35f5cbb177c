"""Trackio, which keeps its records on this machine unless it is told otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.extras import require
from refusion_jax.training.loggers.identity import chosen_name

PROJECT = "refusion"


class Trackio:
    """Records scalars, pictures and the settings in a run of Trackio."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        """Finds the package; the run starts with the settings.

        Args:
          folder: of the run.
          resume_step: the step from which the run resumes.

        Raises:
          ImportError: if trackio is not installed.
        """
        self._trackio = require("trackio", extra="trackio", why="to log to Trackio")
        self._folder = folder
        self._run: Any = None

    def config(self, values: Mapping[str, Any]) -> None:
        """Starts a run with the settings, or continues it; see `Logger`."""
        self._run = self._trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=chosen_name(self._folder, "trackio"),
            config=dict(values),
            resume="allow",
            embed=False,
        )

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Records numbers; see `Logger`."""
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self._run.log(named, step=step)

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Records a picture; see `Logger`."""
        self._run.log({name: self._trackio.Image(array)}, step=step)

    def close(self) -> None:
        """Ends the run."""
        if self._run is not None:
            self._run.finish()
