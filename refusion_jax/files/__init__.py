"""Files: written whole or not at all, read ahead, recognised by checksum."""
