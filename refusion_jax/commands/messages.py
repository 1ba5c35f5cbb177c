"""How a command speaks: results on stdout, all else in one line on stderr."""

import sys


def complain(problem: object) -> None:
    """Prints the first line of a problem.

    Args:
      problem: an error or a sentence.
    """
    lines = str(problem).splitlines() or [type(problem).__name__]
    print(f"refusion: {lines[0]}", file=sys.stderr, flush=True)
