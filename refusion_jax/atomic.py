"""Files that appear complete or not at all."""

import os
import uuid
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file under another name and renames it; a failure leaves the old one.

    Args:
      path: the file, in a folder that exists.
      content: all of its bytes.
    """
    # In the same folder, so that the final rename stays on one file system.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
