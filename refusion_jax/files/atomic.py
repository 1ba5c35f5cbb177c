"""Atomic writes: a file appears complete or not at all."""

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
# No single write takes this long, so an older file is left over from a killed process.
_ABANDONED_AFTER = 3600  # seconds since the last write


def check_folder_of(output: Path) -> None:
    """Raises unless there is a folder to write a file to.

    Args:
      output: the file.

    Raises:
      FileNotFoundError: naming the folder.
    """
    if not output.parent.is_dir():
        raise FileNotFoundError(
            f"expected a folder to write {output.name} to, got no folder at "
            f"{output.parent}; create it first."
        )


def replace_file(path: Path, content: bytes) -> None:
    """Writes a temporary file and renames it; on failure the old file stays.

    Args:
      path: the file, in an existing folder.
      content: its complete content.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replaces a file as `replace_file` does, for incremental writes by any writer.

    Args:
      path: the file, in an existing folder.

    Yields:
      The temporary name to write to; it is renamed to `path` if the context ends
      without an error, and removed otherwise.
    """
    # In the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Removes temporary files that a killed `replace_file` left in a folder.

    Args:
      folder: where files have been replaced. Only leftovers at least an hour old are
        removed; a younger one may belong to a process that is still writing.
    """
    now = time.time()
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            try:
                if now - path.stat().st_mtime > _ABANDONED_AFTER:
                    path.unlink()
            except FileNotFoundError:
                pass  # its writer has renamed or removed it in the meantime
