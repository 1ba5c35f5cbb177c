"""Messages of the commands: results go to stdout, all else to stderr, one line each."""

import sys


def complain(problem: object) -> None:
    """Prints the first line of a problem on stderr.

    Args:
      problem: an error or a sentence; for an error without text its type is printed.
    """
    lines = str(problem).splitlines() or [type(problem).__name__]
    print(f"refusion: {lines[0]}", file=sys.stderr, flush=True)
