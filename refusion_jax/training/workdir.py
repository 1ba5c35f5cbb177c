"""The folder of a run: which runs may resume in it, and what is written to it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.data.sources import PairSource, fingerprint
from refusion_jax.files.atomic import replace_file
from refusion_jax.methods.protocol import Method
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.reporting.panel import make_panel
from refusion_jax.training.config import Config, may_change, to_flat, upgraded
from refusion_jax.training.program import is_prolonged
from refusion_jax.weights.store import RUN_WEIGHTS, save_weights


class Workdir:
    """The folder of one run.

    Attributes:
      folder: path of the folder.
      record: the content of config.json: the settings and a digest of the pairs.
    """

    def __init__(self, folder: Path, config: Config, pairs: PairSource) -> None:
        """Claims the folder for a run: writes config.json.

        Args:
          folder: path of the folder; created if it is missing.
          config: all settings.
          pairs: all pairs of the run, held-out ones included.

        Raises:
          ValueError: if the folder holds a run on other pairs or with other settings.
            More epochs are allowed if the schedule does not depend on their number.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.record: dict[str, Any] = {
            "config": to_flat(config),
            "data": fingerprint(pairs),
        }
        path = folder / "config.json"
        if path.exists():
            self._check_same(json.loads(path.read_text()), config)
        replace_file(path, (json.dumps(self.record, indent=2) + "\n").encode())

    def _check_same(self, before: Mapping[str, Any], config: Config) -> None:
        if before["data"] != self.record["data"]:
            raise ValueError(
                f"expected the pairs of the run in {self.folder}, got others: the "
                "folder holds a run on other pairs; use another workdir."
            )
        settings = upgraded(before["config"])
        changeable = may_change(config)
        for name, value in self.record["config"].items():
            # An older run lacks newer settings; they count as unchanged.
            old = settings.get(name, value)
            if old == value or name in changeable:
                continue
            reason = "use the same settings to resume it, or another workdir."
            if name == "epochs" and value > old:
                if is_prolonged(config, old):
                    continue
                reason = (
                    "its schedule depends on the number of epochs, so more cannot "
                    "follow; use another workdir."
                )
            raise ValueError(
                f"expected the settings of the run in {self.folder}, which holds a run "
                f"with {name}={old}, got {value}; {reason}"
            )

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / "checkpoints"

    @property
    def scalars(self) -> Path:
        """The log of scalars."""
        return self.folder / "scalars.jsonl"

    def save_weights(self, method: Method, params: Any, step: int) -> None:
        """Writes the parameter trees to weights.safetensors.

        Args:
          method: the method that the trees belong to.
          params: the parameters of a state.
          step: the state's step.
        """
        save_weights(
            self.folder / RUN_WEIGHTS,
            params,
            {"step": str(step), "config": json.dumps(self.record["config"])},
            method=method,
        )

    def draw_panel(self, name: str, rows: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Writes a sheet of labelled pictures to `pictures/`.

        Args:
          name: file name without extension.
          rows: label to picture, see `reporting.panel.make_panel`.
        """
        folder = self.folder / "pictures"
        folder.mkdir(exist_ok=True)
        write_picture(folder / f"{name}.png", make_panel(rows))
