"""`refusion evaluate`: scores a folder of fused pictures."""

import argparse
from pathlib import Path

from refusion_jax.commands.messages import complain, say
from refusion_jax.commands.parsers import Commands, add_command

EXAMPLES = """\
examples:
  refusion evaluate infrared/ visible/ fused/ --task ivif -o scores/
  refusion evaluate near/ far/ fused/ --columns all -o scores/

Pictures are paired by stem; the fused ones may come from any program. Writes
metrics.json, metrics.csv, table.md, table.tex and report.html.

exit status: 0 all written, 1 a picture could not be scored, 2 wrong usage or pictures
that do not fit together (all problems are listed, and nothing is computed)
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "evaluate",
        run,
        summary="score fused pictures against their sources",
        description="Score a folder of fused pictures by the metrics of the paper.",
        examples=EXAMPLES,
    )
    for name, what in (
        ("a", "folder of infrared, functional, near or under-exposed pictures"),
        ("b", "folder of visible, MRI, far or over-exposed pictures"),
        ("fused", "folder of fused pictures, grey or colour"),
    ):
        parser.add_argument(name, type=Path, metavar=name.upper(), help=what)
    parser.add_argument(
        "--columns",
        default="paper",
        help="paper (default): the columns of the task's table in the paper, or of all "
        "its tables without --task; all: every metric; or metrics separated by commas",
    )
    parser.add_argument(
        "--task",
        help="ivif, mif, mfif or meif: determines the columns and the published rows "
        "shown for comparison",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write to",
    )


def run(arguments: argparse.Namespace) -> int:
    """Scores the folder, writes the files and prints the table.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      The exit status: 0 if all is written, 1 if a picture could not be scored, 2 if the
      pictures do not fit together.

    Raises:
      OSError, ValueError: if the arguments are wrong.
    """
    # Here, because importing jax takes a second, and neither help nor a mistyped
    # argument should wait for it.
    from refusion_jax.evaluation.candidates import FromFolder
    from refusion_jax.evaluation.published import published_rows
    from refusion_jax.evaluation.results import ReportOptions, write_evaluation
    from refusion_jax.evaluation.scoring import InputError, columns
    from refusion_jax.evaluation.table_formats import to_markdown

    keys = columns(arguments.columns, arguments.task)
    options = ReportOptions(published_rows(task=arguments.task, dataset=None))
    method = FromFolder(arguments.fused)
    try:
        table = write_evaluation(
            arguments.output,
            arguments.a,
            arguments.b,
            {arguments.fused.resolve().name or "fused": method},
            keys,
            options,
        )
    except InputError as error:
        for problem in error.problems:
            complain(problem)
        return 2
    # RuntimeError, because jax reports exhausted memory that way.
    except (RuntimeError, MemoryError) as error:
        complain(error)
        return 1
    say(to_markdown(table).rstrip("\n"))
    say(f"The report is at {arguments.output / 'report.html'}")
    return 0
