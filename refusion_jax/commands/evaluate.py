"""`refusion evaluate`: scores a folder of fused pictures."""

import argparse
from pathlib import Path

from refusion_jax.commands.cluster.options import add_engine_options, chosen_cluster
from refusion_jax.commands.messages import complain, say, table_format
from refusion_jax.commands.parsers import Commands, add_command, add_levels_option
from refusion_jax.pictures.names import ALIGNMENTS

EXAMPLES = """\
examples:
  refusion evaluate infrared/ visible/ fused/ --task ivif -o scores/
  refusion evaluate near/ far/ fused/ --columns all -o scores/
  refusion evaluate near/ far/ fused/ --task mfif --baselines average,guided \\
      --ground-truth sharp/ -o scores/

Pictures are paired by stem; the fused ones may come from any program. Writes
metrics.json, metrics.csv, table.md, table.tex and report.html; with baselines also
methods.json and differences.md.

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
        "its tables without --task; all: every metric but those that only MEFB has; "
        "mefb: those of the benchmark MEFB; or metrics separated by commas (refusion "
        "metrics --list)",
    )
    parser.add_argument(
        "--task",
        help="ivif, mif, mfif or meif: determines the columns and the published rows "
        "shown for comparison",
    )
    parser.add_argument(
        "--baselines",
        default="",
        help="methods without weights to compare with, separated by commas: average, "
        "maximum, source_a, source_b and, with the extra `classical`, laplacian, "
        "mertens, guided",
    )
    add_engine_options(parser)
    add_levels_option(parser)
    parser.add_argument(
        "--align",
        default="none",
        choices=[choice for choice in ALIGNMENTS if choice != "register"],
        help="how sources of different sizes were aligned, as for fuse",
    )
    parser.add_argument(
        "--ground-truth",
        type=Path,
        metavar="DIR",
        help="folder of true pictures: adds PSNR and SSIM to them",
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
      ImportError: if a baseline needs a package that is not installed.
    """
    # Here, because importing jax takes a second, and neither help nor a mistyped
    # argument should wait for it.
    from refusion_jax.evaluation.candidates import FromFolder, baselines
    from refusion_jax.evaluation.published import published_rows
    from refusion_jax.evaluation.results import ReportOptions, write_evaluation
    from refusion_jax.evaluation.scoring import InputError, columns
    from refusion_jax.pictures.levels import check_rule

    keys = columns(arguments.columns, arguments.task)
    spread = None
    if cluster := chosen_cluster(arguments):
        from refusion_jax.commands.cluster.evaluating import spread_by_ray

        spread = spread_by_ray(cluster)
        # Workers may start in other folders.
        for name in ("a", "b", "fused", "ground_truth"):
            if (place := getattr(arguments, name)) is not None:
                setattr(arguments, name, place.absolute())
    options = ReportOptions(
        published_rows(task=arguments.task, dataset=None),
        ground_truth=arguments.ground_truth,
        levels=arguments.levels,
        align=arguments.align,
        roles=_roles(arguments.task),
        spread=spread,
    )
    check_rule(arguments.levels)
    if all(x.is_file() for x in (arguments.a, arguments.b, arguments.fused)):
        raise ValueError(
            "expected three folders, got three files; score one picture with refusion "
            "metrics A B FUSED."
        )
    name = arguments.fused.resolve().name or "fused"
    rest = baselines(arguments.baselines.split(",") if arguments.baselines else ())
    if name in rest:
        raise ValueError(
            f"expected a name of its own for each method, got {name!r} twice; rename "
            f"the folder {arguments.fused}."
        )
    try:
        tables = write_evaluation(
            arguments.output,
            arguments.a,
            arguments.b,
            {name: FromFolder(arguments.fused), **rest},
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
    say("\n".join(map(table_format(), tables)).rstrip("\n"))
    say(f"The report is at {arguments.output / 'report.html'}")
    return 0


def _roles(task: str | None) -> tuple[str, str]:
    """Returns what the sources are, by the card of the task's weights."""
    from refusion_jax.evaluation.report import ROLES
    from refusion_jax.weights.pretrained import find_pretrained, pretrained_names

    return find_pretrained(task).sources if task in pretrained_names() else ROLES
