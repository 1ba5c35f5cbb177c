"""The `refusion` command: chooses the subcommand and reports errors."""

import argparse
import sys
from collections.abc import Sequence

from refusion_jax.commands import convert, doctor, evaluate, fuse, info, serve
from refusion_jax.commands.messages import complain, notes_on_stderr

EXAMPLES = """\
examples:
  refusion fuse infrared.png visible.png -o fused.png
  refusion fuse infrared/ visible/ -o fused/ --weights runs/msrs
  refusion evaluate infrared/ visible/ fused/ --task ivif -o scores/
  refusion convert ReFusion_IVIF.pth ivif.safetensors
  refusion info runs/msrs
  refusion serve --open
  refusion doctor

exit status: 0 all is done, 1 some failed, 2 wrong usage, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: arguments without the program's name; None takes those of the process.

    Returns:
      The exit status: 0 if all is done, 1 if some failed, 2 if the arguments are wrong,
      130 after Ctrl-C. A user's error is one sentence on stderr.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or an error
        return int(stop.code or 0)
    try:
        with notes_on_stderr():
            return int(arguments.run(arguments))
    except (OSError, ValueError, ImportError) as error:
        complain(error)
        return 2
    except KeyboardInterrupt as stop:
        complain(str(stop) or "interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refusion",
        description="Image fusion with a meta-learned loss.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (fuse, evaluate, serve, convert, info, doctor):
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
