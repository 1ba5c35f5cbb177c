"""What a run ran on: versions, commit, command, machine; one record per start.

Neither the name of the user or the machine nor any variable of the environment is read.
"""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from refusion_jax.devices.cores import core_count
from refusion_jax.extras import DISTRIBUTION, version_of
from refusion_jax.files.atomic import replace_file

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
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {name: version_of(name) for name in PACKAGES},
        "commit": _commit(),
        "processor": _processor(),
        "cores": core_count(),
        "memory_bytes": _memory(),
        "devices": [str(device.device_kind) for device in devices],
        "hosts": jax.process_count(),
        "backend": jax.default_backend(),
    }


def _commit() -> str | None:
    """Returns the commit that this package is checked out at, or None.

    An installed package has a version instead. A commit with "+" has changes on top.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def _memory() -> int | None:
    """Returns the machine's memory in bytes; None where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
