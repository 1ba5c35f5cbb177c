"""Files that appear complete or not at all."""

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
# Nobody takes that long to write one file: it is left over from a killed process.
_ABANDONED_AFTER = 3600  # seconds since the last write


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file under another name and renames it; a failure leaves the old one.

    Args:
      path: the file, in a folder that exists.
      content: all of its bytes.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """`replace_file` for a file that is written bit by bit, by whoever it is.

    Args:
      path: the file, in a folder that exists.

    Yields:
      The name to write to; it becomes `path` when the context ends without an error.
    """
    # In the same folder, so that the final rename stays on one file system.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Removes what a killed `replace_file` has left in a folder an hour ago or more.

    Args:
      folder: where files have been replaced; younger leftovers may be somebody's work.
    """
    now = time.time()
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            try:
                if now - path.stat().st_mtime > _ABANDONED_AFTER:
                    path.unlink()
            except FileNotFoundError:
                pass  # somebody has finished with it
