"""The name under which a tracker knows a run, so that a resumed run continues it."""

import json
import secrets
from pathlib import Path

from refusion_jax.files.atomic import replace_file

FILE = "loggers.json"


def known_name(folder: Path, logger: str) -> str | None:
    """Returns the name that a run has with a tracker, or None.

    Args:
      folder: of the run.
      logger: name of the tracker.
    """
    path = folder / FILE
    names = json.loads(path.read_text()) if path.exists() else {}
    return names.get(logger)


def keep_name(folder: Path, logger: str, name: str) -> str:
    """Keeps the name of a run with a tracker in the run's folder, and returns it.

    Args:
      folder: of the run.
      logger: name of the tracker.
      name: what the tracker calls the run.
    """
    path = folder / FILE
    names = json.loads(path.read_text()) if path.exists() else {}
    text = json.dumps({**names, logger: name}, indent=2)
    replace_file(path, (text + "\n").encode())
    return name


def chosen_name(folder: Path, logger: str) -> str:
    """Returns the name of a run with a tracker that lets us choose it.

    Args:
      folder: of the run; its name and a random number make a new name.
      logger: name of the tracker.
    """
    known = known_name(folder, logger)
    name = f"{folder.resolve().name}-{secrets.token_hex(4)}"
    return known or keep_name(folder, logger, name)
