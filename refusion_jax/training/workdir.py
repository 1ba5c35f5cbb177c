"""The folder of a run: which runs may resume in it, and what is written to it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.data.sources import PairSource, fingerprint
from refusion_jax.devices.hosts import is_first, unlike_first
from refusion_jax.files.atomic import replace_file
from refusion_jax.files.checksums import sha256_of
from refusion_jax.methods.protocol import Method
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.reporting.panel import make_panel
from refusion_jax.training.config import (
    CONFIG_FILE,
    Config,
    may_change,
    to_flat,
    upgraded,
)
from refusion_jax.training.program import is_prolonged
from refusion_jax.weights.pretrained import RUN_WEIGHTS
from refusion_jax.weights.pth import existing_file
from refusion_jax.weights.store import load_weights, save_weights, weights_file

# What lies in the folder, besides the settings and the weights.
CHECKPOINTS, PICTURES, SCALARS = "checkpoints", "pictures", "scalars.jsonl"


class Workdir:
    """The folder of one run.

    Attributes:
      folder: path of the folder.
      record: the content of config.json: the settings, a digest of the pairs, and
        those of pairs for validation and of initial weights, if there are any.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        pairs: PairSource,
        *,
        validation: PairSource | None = None,
    ) -> None:
        """Claims the folder for a run: writes config.json.

        Args:
          folder: path of the folder; created if it is missing.
          config: all settings.
          pairs: all pairs of the run, held-out ones included.
          validation: pairs for validation that are not among them.

        Raises:
          FileNotFoundError: if there are no weights to start from.
          ValueError: if the folder holds a run on other pairs or with other settings.
            More epochs are allowed if the schedule does not depend on their number.
        """
        self.folder = folder
        path = folder / CONFIG_FILE
        before = _record_of(path) if path.exists() else None
        self.record: dict[str, Any] = {
            "config": to_flat(config),
            "data": fingerprint(pairs),
        }
        if validation is not None:
            self.record["validation"] = fingerprint(validation)
        if before is not None:
            self._check_same(before, config)
        if config.run.init:
            # A resumed run no longer needs them; what they were is still known.
            begun = before if before and has_checkpoints(folder) else {}
            self.record["init_sha256"] = begun.get("init_sha256") or sha256_of(
                existing_file(weights_file(config.run.init))
            )
        self._check_alike()
        if is_first():
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, (json.dumps(self.record, indent=2) + "\n").encode())

    def _check_alike(self) -> None:
        others = unlike_first(json.dumps(self.record))
        if others:
            raise ValueError(
                "expected the same settings and pairs on every host, got others on "
                f"host {others[0]}; start all with the same command and copies of the "
                "same files."
            )

    def _check_same(self, before: Mapping[str, Any], config: Config) -> None:
        if before["data"] != self.record["data"]:
            raise ValueError(
                f"expected the pairs of the run in {self.folder}, got others: the "
                "folder holds a run on other pairs; use another workdir."
            )
        if before.get("validation") != self.record.get("validation"):
            raise ValueError(
                f"expected the pairs for validation of the run in {self.folder}, got "
                "others; use the same ones to resume it, or another workdir."
            )
        settings = upgraded(before["config"])
        changeable = may_change(config)
        for name, value in self.record["config"].items():
            # An older run lacks newer settings; they count as unchanged.
            old = settings.get(name, "" if name == "init" else value)
            if old == value or name in changeable:
                continue
            reason = "use the same settings to resume it, or another workdir."
            if name == "epochs" and value > old:
                if is_prolonged(config, old):
                    continue
                reason = (
                    "its schedule depends on the number of epochs, so more cannot "
                    "follow; use another workdir, and begin from these weights with "
                    f"init={self.folder}."
                )
            raise ValueError(
                f"expected the settings of the run in {self.folder}, which holds a run "
                f"with {name}={old}, got {value}; {reason}"
            )

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def scalars(self) -> Path:
        """The log of scalars."""
        return self.folder / SCALARS

    def save_weights(
        self, method: Method, params: Any, step: int, notes: Mapping[str, str]
    ) -> None:
        """Writes the parameter trees to weights.safetensors.

        Args:
          method: the method that the trees belong to.
          params: the parameters of a state.
          step: the state's step.
          notes: of the method, see `Method.notes`.
        """
        config = json.dumps(self.record["config"])
        save_weights(
            self.folder / RUN_WEIGHTS,
            params,
            {"step": str(step), "config": config, **notes},
            method=method,
        )

    def has_weights(self, step: int, notes: Mapping[str, str]) -> bool:
        """Returns whether weights.safetensors is whole and of this step.

        Args:
          step: the state's step.
          notes: of the method, with which it must have been written.
        """
        try:
            known = load_weights(self.folder / RUN_WEIGHTS).metadata
        except (OSError, ValueError):
            return False
        return {"step": str(step), **notes}.items() <= known.items()

    def draw_panel(
        self, name: str, rows: Sequence[Mapping[str, np.ndarray]]
    ) -> np.ndarray:
        """Writes a sheet of labelled pictures to `pictures/`.

        Args:
          name: file name without extension.
          rows: label to picture, see `reporting.panel.make_panel`.

        Returns:
          The sheet, uint8, height x width x 3.
        """
        folder = self.folder / PICTURES
        folder.mkdir(exist_ok=True)
        panel = make_panel(rows)
        write_picture(folder / f"{name}.png", panel)
        return panel


def has_checkpoints(folder: Path) -> bool:
    """Returns whether a run can be resumed, however far its saves in work have come.

    Args:
      folder: of the run.
    """
    # The name of a half-written checkpoint begins with its step, too.
    return any(path.name.isdecimal() for path in (folder / CHECKPOINTS).glob("*"))


def _record_of(path: Path) -> dict[str, Any]:
    """Reads the config.json of a run."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"expected the record of a run, got {path}, which is no JSON ({error}); "
            "use another workdir."
        ) from error
    if not isinstance(record, dict) or not {"config", "data"} <= record.keys():
        raise ValueError(
            f"expected the record of a run, got {path} without its pairs; move this "
            "file out of the folder, or use another workdir."
        )
    return record
