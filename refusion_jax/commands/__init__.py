"""The parts of the `refusion` command, one a file.

Each has `add_parser(commands)`, which describes its arguments, and `run(arguments)`,
which returns the exit status. What is slow to import (jax, Pillow) is imported only
when they run.
"""
