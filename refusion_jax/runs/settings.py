"""The settings of a run, from what a user gives."""

import os
from collections.abc import Mapping
from typing import Any

from refusion_jax.methods.registry import DEFAULT, find
from refusion_jax.training.config import Config, preset, with_fields
from refusion_jax.weights.pretrained import find_pretrained

FINE_TUNING = "fine_tune"  # a preset that methods may have


def chosen_config(
    given: Mapping[str, Any],
    *,
    preset_name: str | None = None,
    config_file: str | os.PathLike[str] | None = None,
    task: str | None = None,
) -> Config:
    """Returns the settings: a preset or those of a file, a task's, and given ones.

    Args:
      given: setting to value; these win.
      preset_name: a preset of the method. None: `fine_tune` with weights to start
        from, if the method has it, else `default`.
      config_file: instead of a preset, a file or folder for `Config.from_json`.
      task: name of shipped weights, whose card has settings for such sources.

    Raises:
      FileNotFoundError, ValueError: for both a preset and a file, or what cannot be
        read or is not allowed.
    """
    if config_file is not None:
        if preset_name is not None or task is not None:
            raise ValueError(
                "expected either --config or --preset and --task, got both; leave one "
                "out, because the file has all settings."
            )
        return with_fields(Config.from_json(config_file), given)
    method = given.get("method", DEFAULT)
    if preset_name is None:
        is_tuning = bool(given.get("init")) and FINE_TUNING in find(method).presets
        preset_name = FINE_TUNING if is_tuning else "default"
    config = preset(preset_name, method)
    if task is not None:
        record = find_pretrained(task)
        if record.method != method:
            raise ValueError(
                f"expected a task of {find(method).title}, got {task!r} of "
                f"{find(record.method).title}; leave --task out."
            )
        config = with_fields(config, record.settings)
    return with_fields(config, given)
