"""The subcommands of the `refusion` command, one per file.

Each has `add_parser(commands)`, which describes its arguments, and `run(arguments)`,
which returns the exit status. Packages that are slow to import (jax, Pillow) are
imported only when a command runs.
"""
