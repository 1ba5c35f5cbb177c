"""Trains ReFusion on a prepared data set, or on two folders of paired pictures.

    python experiments/train.py --workdir=runs/ivif --preset=paper --dataset=msrs
    python experiments/train.py --workdir=runs/ivif --preset=paper \
        --source_a=DATA/infrared --source_b=DATA/visible

Every field of `training.config.Config` is a flag; a flag that is not given keeps the
preset's value. The same command again goes on from the newest checkpoint.
"""

import logging
import sys
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

from refusion_jax.data.training_pairs import open_training_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.methods.registry import DEFAULT
from refusion_jax.training.config import all_fields, preset, with_fields
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError, train

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_PRESET = flags.DEFINE_string(
    "preset", "default", "Where flags start from: a preset of the method."
)
_TENSORBOARD = flags.DEFINE_bool("tensorboard", False, "Write TensorBoard events.")


def _define_config_flags() -> None:
    definers = {
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


def main(argv: list[str]) -> int:
    """Reads flags and pairs, trains.

    Args:
      argv: what absl left of the command line: the program's name.

    Returns:
      0 when the run is complete, 1 on a bad input or a loss that is not finite,
      128 + the signal's number when a signal stopped it.
    """
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, got {argv[1]!r}.")
    # absl would show what every library has to say; we speak for ourselves only.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("refusion_jax").setLevel(logging.INFO)
    given = {name: flags.FLAGS[name].value for name in all_fields()}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        base = preset(_PRESET.value, given.get("method", DEFAULT))
        config = with_fields(base, given)
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
        )
        train(config, pairs, Path(_WORKDIR.value), tensorboard=_TENSORBOARD.value)
    except (ValueError, OSError, ImportError, NonFiniteError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"train: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    app.run(main)
