r"""Trains a method on a prepared data set, or on two folders of paired pictures.

    python experiments/train.py --workdir=runs/ivif --preset=paper --dataset=msrs
    python experiments/train.py --workdir=runs/ivif --preset=paper \
        --source_a=DATA/infrared --source_b=DATA/visible
    python experiments/train.py --workdir=runs/road --method=uaafusion --preset=small \
        --source_a=DATA/infrared --source_b=DATA/visible \
        --labels=DATA/mask --label_values=binary

Every setting is a flag; a flag that is not given keeps the preset's value. The same
command resumes from the newest checkpoint. `refusion train` does the same.
"""

import sys
from collections.abc import Callable
from typing import Any

from absl import flags
from absl import logging as absl_logging
from launch import launch

from refusion_jax.commands.set_up import use_cache
from refusion_jax.devices.guard import run_guarded
from refusion_jax.devices.hosts import LOST, TRACE, HostLostError, join
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.runs.run import start
from refusion_jax.runs.settings import chosen_config
from refusion_jax.training.help import all_fields, help_of
from refusion_jax.training.loggers.choice import LOGGERS, logger_names
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_PRESET = flags.DEFINE_string(
    "preset",
    None,
    "Settings before the other flags: a preset of the method. None: default, or "
    "fine_tune with --init.",
)
_CONFIG = flags.DEFINE_string(
    "config", None, "Instead of a preset, the settings of a run: its config.json."
)
_TASK = flags.DEFINE_string(
    "task", None, "Settings for the sources of these weights of the package."
)
_LOG = flags.DEFINE_string(
    "log", "", f"Loggers with commas between, among {', '.join(LOGGERS)}."
)
_TENSORBOARD = flags.DEFINE_bool("tensorboard", False, "Short for --log=tensorboard.")

_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "Train on several hosts as one: NAME:PORT of the first, or auto on a cluster.",
)
_HOSTS = flags.DEFINE_integer("hosts", None, "Number of hosts.", lower_bound=1)
_HOST = flags.DEFINE_integer("host", None, "Which of them this is, from 0.")


def _define_config_flags() -> None:
    definers: dict[Any, Callable[..., object]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for name, field in all_fields().items():
        definers[type(field.default)](name, None, help_of(name))


_define_config_flags()
_OLD = flags.DEFINE_bool("fixed_weights", None, "Older form of --loss_weights=equal.")


def main() -> int:
    """Reads flags and pairs, and trains.

    Returns:
      0 when the run is complete.
    """
    place = _COORDINATOR.value, _HOSTS.value, _HOST.value
    if place != (None, None, None):
        run_guarded(TRACE, f"train: {LOST}")
        # Another one now than when absl was imported.
        absl_logging.get_absl_handler().python_handler.stream = sys.stderr
        join(*place)
    use_cache(is_wanted=True)  # a run that resumes need not compile again
    values = {name: flags.FLAGS[name].value for name in all_fields()}
    values[_OLD.name] = _OLD.value
    config = chosen_config(
        {name: value for name, value in values.items() if value is not None},
        preset_name=_PRESET.value,
        config_file=_CONFIG.value,
        task=_TASK.value,
    )
    loggers = logger_names(_LOG.value)
    if _TENSORBOARD.value:
        loggers = (*loggers, "tensorboard")
    start(config, _WORKDIR.value, loggers=loggers)
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, ImportError, NonFiniteError, Interrupted, HostLostError)
