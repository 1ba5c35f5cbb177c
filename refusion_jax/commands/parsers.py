"""The head that the parsers of all commands share."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

# What `ArgumentParser.add_subparsers` returns. A string, because the class cannot be
# subscripted when the program runs.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Adds the parser of a command, without its arguments.

    Args:
      commands: the parsers of all commands.
      name: the word that calls the command.
      run: runs the command and returns the exit status.
      summary: its line in the list of commands.
      description: the text above its arguments.
      examples: the text below its arguments, whose line breaks are kept.

    Returns:
      The parser, to which the arguments are to be added.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser
