"""`refusion evaluate`: scores a folder of fused pictures."""

import argparse
import sys
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  refusion evaluate infrared/ visible/ fused/ --task ivif -o scores/
  refusion evaluate near/ far/ fused/ --columns all -o scores/

Pictures are paired by stem; the fused ones may come from any program. Writes
metrics.json, metrics.csv, table.md, table.tex and report.html.

exit status: 0 all written, 1 a picture could not be scored, 2 wrong usage or pictures
that do not fit together (all of them are listed, and nothing is computed)
"""


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the subcommand.

    Args:
      commands: what `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "evaluate",
        help="score fused pictures against their sources",
        description="Score a folder of fused pictures by the metrics of the paper.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        help="paper (default): the columns of the paper's table of the task, or of all "
        "its tables without --task; all; or metrics with commas between",
    )
    parser.add_argument(
        "--task",
        help="ivif, mif, mfif or meif: chooses columns and the published row beside",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write to",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Scores the folder, writes the files, prints the table.

    Args:
      arguments: as the parser fills them.

    Returns:
      The exit status.

    Raises:
      OSError, ValueError: for the caller to print, if the arguments are wrong.
    """
    # jax takes a second to import; help and typing errors should not wait for it.
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
            print(f"refusion: {problem}", file=sys.stderr)
        return 2
    # RuntimeError is how jax reports that memory has run out.
    except (RuntimeError, MemoryError) as error:
        print(f"refusion: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    print(to_markdown(table), end="")
    print(f"The report is at {arguments.output / 'report.html'}")
    return 0
