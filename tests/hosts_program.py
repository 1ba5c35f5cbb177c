"""One host of a training with tiny networks: a program of tests/training/hosts_test.

python hosts_program.py SETTINGS.json WORKDIR PORT HOSTS HOST
"""

import json
import logging
import sys
from pathlib import Path

import jax
import light
import numpy as np

from refusion_jax.devices.guard import run_guarded
from refusion_jax.devices.hosts import LOST, TRACE, HostLostError, join
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import train


def pairs(seed):
    """Returns eight pairs of noise."""
    generator = np.random.default_rng(seed)
    return [tuple(generator.integers(0, 256, (2, 40, 40), np.uint8)) for _ in range(8)]


def settings(values):
    """Returns the settings of a run of a few steps."""
    common = {
        **{"method": light.register_tiny().name, "crop_size": 32, "batch_size": 2},
        **{"epochs": 3, "meta_steps": 5, "fusion_steps": 5, "holdout_pairs": 2},
        **{"imitation_steps": 0, "warm_up_share": 0.0, "judged_pairs": 0},
    }
    return with_fields(preset("default"), {**common, **values})


def main():
    """Trains on one device; an error is one sentence."""
    values, workdir, port, count, index = sys.argv[1:]
    run_guarded(TRACE, f"told: {LOST}")
    notes = logging.StreamHandler(sys.stderr)
    logging.getLogger("refusion_jax").addHandler(notes)
    jax.config.update("jax_num_cpu_devices", 1)
    values = json.loads(values)
    try:
        join(f"localhost:{port}", int(count), int(index))
        seed = values.pop("data_of_host", {}).get(index, 0)
        train(settings(values), pairs(seed), Path(workdir), progress=False)
    except (HostLostError, OSError, ValueError) as error:
        print(f"told: {error}", file=sys.stderr)
        sys.exit(1)
    except Interrupted as stop:
        print(f"told: {stop}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)


if __name__ == "__main__":
    main()
