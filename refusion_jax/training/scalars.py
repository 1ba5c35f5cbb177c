"""The numbers of a run: JSON lines, and TensorBoard where it is asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from refusion_jax.extras import require
from refusion_jax.files.atomic import replace_file


class ScalarLog:
    """Appends one JSON object a line; a context manager.

    A run that goes on from a checkpoint repeats the steps after it, so lines of later
    steps, and a last line that was cut off by a kill, are dropped on opening.
    """

    def __init__(self, path: Path, *, resume_step: int, tensorboard: bool) -> None:
        """Opens the log.

        Args:
          path: the .jsonl file; TensorBoard events go to `tensorboard/` beside it.
          resume_step: the step the run goes on from; 0 begins an empty log.
          tensorboard: whether to write TensorBoard events too.

        Raises:
          ImportError: if TensorBoard is asked for and tensorboardX is not installed.
        """
        before = read_scalars(path) if resume_step else []
        kept = [line for line in before if line["step"] <= resume_step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        self._board = None
        if tensorboard:
            events = require(
                "tensorboardX", extra="tensorboard", why="to write TensorBoard events"
            )
            self._board = events.SummaryWriter(str(path.parent / "tensorboard"))
        replace_file(path, text.encode())
        self._file = path.open("a")

    def __enter__(self) -> Self:
        """Opened by the constructor."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, step: int, stage: str, scalars: Mapping[str, float]) -> None:
        """Writes one line and flushes it.

        Args:
          step: updates made so far.
          stage: "meta", "fusion" or "validation".
          scalars: name to value.
        """
        line = {"step": step, "stage": stage, **scalars}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in scalars.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, without a last line that a kill cut off.

    Args:
      path: a scalars.jsonl; one that does not exist has no lines.

    Returns:
      A list of the objects, oldest first.
    """
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    # What follows the last line break is either empty or incomplete.
    return [json.loads(line) for line in lines[:-1]]
