"""TensorBoard: event files in the run's folder, read by `tensorboard --logdir`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.extras import require


class TensorBoard:
    """Writes scalars, pictures and the settings to `tensorboard/`."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        """Opens an event file.

        Args:
          folder: of the run.
          resume_step: the step from which the run resumes; later ones of an earlier
            start are not shown any more.

        Raises:
          ImportError: if tensorboardX is not installed.
        """
        events = require(
            "tensorboardX", extra="tensorboard", why="to write TensorBoard events"
        )
        self._board = events.SummaryWriter(
            str(folder / "tensorboard"),
            purge_step=resume_step + 1 if resume_step else None,
        )

    def config(self, values: Mapping[str, Any]) -> None:
        """Writes the settings as a table; see `Logger`."""
        rows = "".join(f"| {name} | {value} |\n" for name, value in values.items())
        self._board.add_text("config", f"| setting | value |\n|---|---|\n{rows}", 0)

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Writes numbers; see `Logger`."""
        for name, value in values.items():
            self._board.add_scalar(f"{stage}/{name}", value, step)

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Writes a picture; see `Logger`."""
        self._board.add_image(name, array, step, dataformats="HWC")

    def close(self) -> None:
        """Closes the event file."""
        self._board.close()
