"""The head that the parsers of all commands share."""

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

# What `ArgumentParser.add_subparsers` returns. A string, because the class cannot be
# subscripted when the program runs.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class LateParser(argparse.ArgumentParser):
    """A parser that may add its arguments when it is first used.

    For commands whose arguments are known only after slow imports.

    Attributes:
      fill: adds the arguments; None once that is done.
    """

    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Adds the arguments if need be, and parses."""
        fill, self.fill = self.fill, None
        if fill:
            fill(self)
        return super().parse_known_args(args, namespace)


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    examples: str,
    fill: Callable[[argparse.ArgumentParser], None] | None = None,
) -> argparse.ArgumentParser:
    """Adds the parser of a command, without its arguments.

    Args:
      commands: the parsers of all commands.
      name: the word that calls the command.
      run: runs the command and returns the exit status.
      summary: its line in the list of commands.
      description: the text above its arguments.
      examples: the text below its arguments, whose line breaks are kept.
      fill: adds the arguments when the command is chosen; None: the caller does so.

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
    if isinstance(parser, LateParser):
        parser.fill = fill
    parser.set_defaults(run=run)
    return parser


def add_levels_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--levels` of commands that score pictures.

    Args:
      parser: of the command.
    """
    parser.add_argument(
        "--levels",
        default="full",
        metavar="RULE",
        help="levels that become black and white in grey sources of more than 8 bits, "
        "as for fuse",
    )
