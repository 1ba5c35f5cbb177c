"""Files: atomic writes, reading ahead, checksums."""
