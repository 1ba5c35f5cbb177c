"""The `refusion` command: chooses the subcommand and reports errors."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from refusion_jax.commands import (
    convert,
    doctor,
    evaluate,
    fuse,
    info,
    metrics,
    serve,
)
from refusion_jax.commands.learning import ablate, export, prepare, train
from refusion_jax.commands.messages import (
    complain,
    notes_on_stderr,
    say,
    streams_or_nowhere,
)
from refusion_jax.commands.parsers import LateParser
from refusion_jax.commands.shell.completion import SHELLS, PrintCompletion
from refusion_jax.devices.guard import run_guarded
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.extras import version_of

EXAMPLES = """\
examples:
  refusion fuse infrared.png visible.png -o fused.png
  refusion fuse infrared/ visible/ -o fused/ --weights runs/msrs
  refusion evaluate infrared/ visible/ fused/ --task ivif -o scores/
  refusion metrics infrared.png visible.png fused.png
  refusion convert ReFusion_IVIF.pth ivif.safetensors
  refusion info runs/msrs
  refusion serve --open
  refusion doctor
  refusion train infrared/ visible/ -o runs/mine --task=ivif
  refusion export runs/mine -o mine.onnx

exit status: 0 all is done, 1 some failed, 2 wrong usage, 130 interrupted
"""


@streams_or_nowhere()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: arguments without the program's name; None takes those of the process.

    Returns:
      The exit status: 0 if all is done, 1 if some failed, 2 if the arguments are wrong,
      130 after Ctrl-C. A user's error is one sentence on stderr.
    """
    # Before JAX is imported, which parsing the arguments of `train` does: its compiler
    # would raise an alarm among asterisks where a compilation takes minutes on a busy
    # machine. What fails is raised all the same.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or an error
        return int(stop.code or 0)
    if argv is None:  # not where Python has called this
        if getattr(arguments, "is_training", False):
            restart_with_huge_pages()
        _guard(arguments)
    try:
        with notes_on_stderr(is_quiet=getattr(arguments, "quiet", False)):
            return int(arguments.run(arguments))
    except (OSError, ValueError, ImportError) as error:
        complain(error)
        return 2
    except (AssertionError, RuntimeError):  # JAX's errors, or a bug
        from refusion_jax.devices.starting import start_failure

        failure = start_failure()
        if failure is None:
            raise
        complain(failure)
        return 2
    except KeyboardInterrupt as stop:
        complain(str(stop) or "interrupted")
        return 130


def _guard(arguments: argparse.Namespace) -> None:
    """Sees to it that the loss of another machine is told in a sentence."""
    if getattr(arguments, "coordinator", None) is not None:
        from refusion_jax.devices.hosts import LOST, TRACE

        run_guarded(TRACE, f"refusion: {LOST}")
    if getattr(arguments, "engine", "local") == "ray":
        from refusion_jax.commands.cluster import engine

        run_guarded(engine.TRACE, f"refusion: {engine.lost(arguments)}")


class _Version(argparse.Action):
    """Prints the version, which is looked up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *others: Any) -> None:
        say(f"{parser.prog} {version_of() or 'unknown'}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refusion",
        description="Image fusion with a meta-learned loss.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=SHELLS,
        help="print a script by which a shell completes this command, and exit",
    )
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", parser_class=LateParser
    )
    learning = (train, prepare, ablate, export)
    for command in (fuse, evaluate, metrics, serve, convert, info, doctor, *learning):
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
