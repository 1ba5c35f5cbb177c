"""Trains a method on a prepared data set, or on two folders of paired pictures.

    python experiments/train.py --workdir=runs/ivif --preset=paper --dataset=msrs
    python experiments/train.py --workdir=runs/ivif --preset=paper \
        --source_a=DATA/infrared --source_b=DATA/visible
    python experiments/train.py --workdir=runs/road --method=uaafusion --preset=small \
        --source_a=DATA/infrared --source_b=DATA/visible \
        --labels=DATA/mask --label_values=binary

Every setting is a flag; a flag that is not given keeps the preset's value. The same
command resumes from the newest checkpoint.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags
from launch import launch

from refusion_jax.data.training_pairs import open_training_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.methods.registry import DEFAULT
from refusion_jax.training.config import all_fields, preset, with_fields
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError, train

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_PRESET = flags.DEFINE_string(
    "preset", "default", "Settings before the other flags: a preset of the method."
)
_TENSORBOARD = flags.DEFINE_bool("tensorboard", False, "Write TensorBoard events.")


def _define_config_flags() -> None:
    definers: dict[Any, Callable[..., object]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for name, field in all_fields().items():
        choices = ", ".join(str(choice) for choice in field.metadata["choices"])
        among = f" One of {choices}." if choices else ""
        definers[type(field.default)](
            name, None, f"{field.metadata['help']}{among} Paper: {field.default!r}."
        )


_define_config_flags()
_OLD = flags.DEFINE_bool("fixed_weights", None, "Older form of --loss_weights=equal.")


def main() -> int:
    """Reads flags and pairs, and trains.

    Returns:
      0 when the run is complete.
    """
    values = {name: flags.FLAGS[name].value for name in all_fields()}
    values[_OLD.name] = _OLD.value
    given = {name: value for name, value in values.items() if value is not None}
    config = with_fields(preset(_PRESET.value, given.get("method", DEFAULT)), given)
    split_cpu(config.data.batch_size)
    data = config.data
    pairs = open_training_pairs(
        dataset=data.dataset,
        data_dir=data.data_dir,
        source_a=data.source_a,
        source_b=data.source_b,
        align=data.align,
        levels=data.levels,
        patches=data.patches,
        crop_size=data.crop_size,
        labels=data.labels,
        label_values=data.label_values if config.method.needs_labels else "",
        classes=getattr(config.settings, "classes", None),
    )
    train(config, pairs, Path(_WORKDIR.value), tensorboard=_TENSORBOARD.value)
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, ImportError, NonFiniteError, Interrupted)
