"""The machine, what is installed on it, and the commit; no device is started.

Neither the name of the user or the machine nor any variable of the environment is read.
"""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refusion_jax.devices.cores import core_count
from refusion_jax.extras import version_of


def describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """Returns versions, the commit, processor, cores and memory, as JSON values.

    Args:
      packages: the distributions whose versions are listed; None where there is none.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {name: version_of(name) for name in packages},
        "commit": _commit(),
        "processor": _processor(),
        "cores": core_count(),
        "memory_bytes": _memory(),
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


def _processor(table: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the processor's name and, where it is told, its family and model.

    Virtual machines call several models by one name, and their last bits differ.
    """
    try:
        lines = table.read_text().splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in facts and "model" in facts:
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


def _memory() -> int | None:
    """Returns the machine's memory in bytes; None where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
