"""What a run ran on: versions, commit, command, machine; one record per start.

Neither the name of the user or the machine nor any variable of the environment is read.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from refusion_jax.extras import DISTRIBUTION
from refusion_jax.files.atomic import replace_file
from refusion_jax.training.machine import describe_machine

FILE = "environment.json"
PACKAGES = (
    *(DISTRIBUTION, "jax", "jaxlib", "flax", "optax", "orbax-checkpoint"),
    *("numpy", "pillow", "safetensors"),
)


def record_environment(folder: Path, *, step: int) -> None:
    """Appends a record to the list in environment.json.

    Args:
      folder: of the run.
      step: from which it starts; 0 unless it resumes.
    """
    path = folder / FILE
    records = json.loads(path.read_text()) if path.exists() else []
    records.append({"step": step, **describe_environment()})
    replace_file(path, (json.dumps(records, indent=2) + "\n").encode())


def hosts_before(folder: Path) -> int:
    """Returns on how many hosts a run was when it last started.

    Args:
      folder: of a run that has started; those of earlier versions, which knew one host
        only, do not tell.
    """
    path = folder / FILE
    records = json.loads(path.read_text()) if path.exists() else [{}]
    return int(records[-1].get("hosts", 1))


def describe_environment() -> dict[str, Any]:
    """Returns the time, the command, versions and the machine, as JSON values."""
    devices = jax.devices()
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        # The program without its folder, which may name a user.
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        **describe_machine(PACKAGES),
        "devices": [str(device.device_kind) for device in devices],
        "hosts": jax.process_count(),
        "backend": jax.default_backend(),
    }
