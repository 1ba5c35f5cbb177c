"""Sources that are pipes: kept in files, because pictures are read more than once."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def spooled(sources: Sequence[str]) -> Iterator[list[Path]]:
    """Copies the content of pipes and of standard input to temporary files.

    Args:
      sources: files, folders, pipes, or "-" for standard input.

    Yields:
      The sources as paths; those of pipes exist while the context lasts.

    Raises:
      ValueError: if standard input is named twice, or closed.
    """
    if list(sources).count("-") > 1:
        raise ValueError(
            "expected standard input as one source, got '-' twice; name files."
        )
    if "-" in sources and sys.stdin is None:
        raise ValueError(
            "expected a source on standard input, got a closed stream; name a file, or "
            "pipe one in."
        )
    with tempfile.TemporaryDirectory(prefix="refusion-") as folder:
        paths = []
        for number, source in enumerate(sources, start=1):
            path = Path(source)
            is_pipe = source == "-" or path.is_fifo() or path.is_char_device()
            if is_pipe:
                path = Path(folder) / f"source {number}"
                with path.open("wb") as copy:
                    _copy(source, copy)
            paths.append(path)
        yield paths


def _copy(source: str, copy: BinaryIO) -> None:
    if source == "-":
        shutil.copyfileobj(sys.stdin.buffer, copy)
        return
    with open(source, "rb") as pipe:
        shutil.copyfileobj(pipe, copy)
