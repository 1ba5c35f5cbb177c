"""Subcommands of `refusion`: a module each, with `add_parser` and `run`."""
