"""The scalars of a run as JSON lines: what is true, whatever else is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from refusion_jax.files.atomic import replace_file


class ScalarLog:
    """Appends one JSON object per line: a `Logger`, and a context manager.

    A run that resumes from a checkpoint repeats the steps after it, so opening the log
    drops the lines of later steps, and a last line that was cut off by a kill.
    """

    def __init__(self, path: Path, *, resume_step: int) -> None:
        """Opens the log.

        Args:
          path: the .jsonl file.
          resume_step: the step from which the run resumes; 0 starts an empty log.
        """
        before = read_scalars(path) if resume_step else []
        kept = [line for line in before if line["step"] <= resume_step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        replace_file(path, text.encode())
        self._file = path.open("a")

    def __enter__(self) -> Self:
        """Returns itself: the constructor has opened the log."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.close()

    def config(self, values: Mapping[str, Any]) -> None:
        """Writes nothing: config.json has the settings."""

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Writes nothing: the workdir has the pictures."""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Writes one line and flushes it.

        Args:
          step: number of updates so far.
          stage: name of the learner's stage, or "validation".
          values: name to value.
        """
        line = {"step": step, "stage": stage, **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """Reads the lines of a log, except a last line that was cut off by a kill.

    Args:
      path: a scalars.jsonl; a missing file counts as empty.

    Returns:
      The objects, oldest first.
    """
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    # Without the last item, because after the last line break there is either nothing
    # or an incomplete line.
    return [json.loads(line) for line in lines[:-1]]
