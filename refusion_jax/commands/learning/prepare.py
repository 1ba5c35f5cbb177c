"""`refusion prepare`: prepares a data set for fast reading."""

import argparse
import shlex
from pathlib import Path

from refusion_jax.commands.messages import complain, say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.pictures.names import ALIGNMENTS, LEVELS

EXAMPLES = """\
examples:
  refusion prepare --list
  refusion prepare msrs --source-dir=DOWNLOADS/MSRS
  refusion prepare folder infrared/ visible/ --data-dir=data

Nothing is downloaded. Repeating the command reports the prepared set; an interrupted
command starts over. Needs the extra `data`.

exit status: 0 prepared, 2 wrong usage or unusable pictures, 130 interrupted
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "prepare",
        run,
        summary="prepare a data set for training",
        description="Check, count and copy a data set into shards that are read fast. "
        "Two folders can be trained on without this.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "dataset", metavar="SET", nargs="?", help="name of the set, see --list"
    )
    parser.add_argument(
        "source_a", metavar="A", nargs="?", type=Path, help="for folder: first sources"
    )
    parser.add_argument(
        "source_b", metavar="B", nargs="?", type=Path, help="for folder: second sources"
    )
    parser.add_argument("--list", action="store_true", help="list the sets and exit")
    for name, metavar, text in (
        ("source", "DIR", "folder with {train,test}/{FIRST,SECOND} of the set"),
        ("third", "DIR", "for folder: masks or ground truth"),
    ):
        dashed = f"--{name}" + ("-dir" if name == "source" else "")
        parser.add_argument(dashed, type=Path, metavar=metavar, help=text)
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path("data"),
        metavar="DIR",
        help="folder of prepared sets (default data)",
    )
    parser.add_argument(
        "--align",
        default="none",
        choices=ALIGNMENTS,
        help="how to align a pair whose sizes differ; none: report an error (default)",
    )
    parser.add_argument(
        "--levels",
        default="full",
        metavar="RULE",
        help=f"range of 16-bit grey: {', '.join(LEVELS)} or LOW:HIGH (default full)",
    )
    parser.add_argument(
        "--scene",
        default="",
        metavar="PATTERN",
        help="pattern whose first group in a name is the scene, to find leaks between "
        "train and test",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the prepared set"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prepares the set and prints what it holds.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 when the set is prepared, 128 plus the number of the signal that stopped it.

    Raises:
      OSError, ValueError, ImportError: if the set cannot be prepared.
    """
    from refusion_jax.runs.preparing import (
        catalogue_lines,
        prepare_set,
        stopping,
    )

    if arguments.list:
        say("\n".join(catalogue_lines()))
        return 0
    with stopping(complain) as codes:
        lines = prepare_set(
            arguments.dataset,
            arguments.data_dir,
            source_dir=arguments.source_dir,
            source_a=arguments.source_a,
            source_b=arguments.source_b,
            third=arguments.third,
            align=arguments.align,
            levels=arguments.levels,
            scene=arguments.scene,
            overwrite=arguments.overwrite,
        )
        say("\n".join(lines))
        say(f"train: {shlex.join(_training(arguments))}")
    return codes[0] if codes else 0


def _training(arguments: argparse.Namespace) -> list[str]:
    """Returns the words of the command that trains on the prepared set."""
    name, folders, reading = arguments.dataset, [], []
    if arguments.source_a:  # other sets know their folders and how they are read
        folders = [str(arguments.source_a), str(arguments.source_b)]
        given = (
            ("labels", arguments.third, None),
            ("align", arguments.align, "none"),
            ("levels", arguments.levels, "full"),
        )
        reading = [f"--{key}={value}" for key, value, usual in given if value != usual]
    where = [f"--dataset={name}", f"--data-dir={arguments.data_dir}", *reading]
    return ["refusion", "train", *folders, *where, "-o", f"runs/{name}"]
