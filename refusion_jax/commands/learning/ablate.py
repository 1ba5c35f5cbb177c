"""`refusion ablate`: trains variants side by side, and compares what they fuse."""

import argparse
from pathlib import Path

from refusion_jax.commands.learning.working import working
from refusion_jax.commands.messages import complain, say, table_format
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.commands.set_up import use_cache

EXAMPLES = """\
examples:
  refusion ablate -o runs/presets
  refusion ablate train/ir train/vi -o runs/weights --task=ivif --seeds=3 \\
      --test=MSRS=test/ir,test/vi --variant=preset=default \\
      --variant=loss_weights=equal,imitation_steps=0,meta_steps=0

A variant is field=value,... with preset=NAME among the fields, or a word for several:
table5 is preset default and the paper's ablations I to VIII. The others are compared
with the first. Without folders, all train for minutes on photographs blurred or exposed
twice (extra `demo`), so that the true picture is known. The same command resumes.

exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "ablate",
        run,
        summary="compare settings by training with each",
        description="Train variants of the settings, several seeds each, on two "
        "folders of pictures, score them on others, and print tables.",
        examples=EXAMPLES,
    )
    parser.set_defaults(is_training=True)
    parser.add_argument(
        "source_a", metavar="A", nargs="?", help="as for train; default: demo pairs"
    )
    parser.add_argument("source_b", metavar="B", nargs="?", help="as for train")
    parser.add_argument(
        "-o",
        "--output",
        "--workdir",
        dest="workdir",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the runs, of a record of each in JSON, and of table.md; with "
        "folders of table.tex and the page report.html, too",
    )
    parser.add_argument(
        "--variant",
        action="append",
        metavar="FIELD=VALUE,...",
        help="a variant, or table5; repeat it for more (default: the presets)",
    )
    parser.add_argument(
        "--seeds", type=int, default=2, metavar="N", help="runs per variant (default 2)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="with A and B: runs at once, each with its share of the cores (default 1)",
    )
    parser.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="NAME=A,B",
        help="with A and B: two folders of pairs to score on; repeat it for more sets",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="with A and B: what the sources are, for settings and columns, as for "
        "train",
    )
    parser.add_argument(
        "--common",
        default="",
        metavar="FIELD=VALUE,...",
        help="with A and B: fields of all variants, such as epochs=9,crop_size=48",
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains all variants and prints the table.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 when the table is written, 1 if a run failed, 128 plus the number of the signal
      that stopped it.

    Raises:
      OSError, ValueError, ImportError: if nothing can be trained with these arguments.
    """
    from refusion_jax.runs.study import failures

    with working() as codes:
        use_cache(is_wanted=True)  # runs of one shape have one program
        if arguments.source_a is None:
            say(_on_demo_pairs(arguments).rstrip("\n"))
        else:
            say(_on_pairs(arguments).rstrip("\n"))
            if failures(arguments.workdir):
                codes.append(1)
    return codes[0] if codes else 0


def _on_demo_pairs(arguments: argparse.Namespace) -> str:
    from refusion_jax.runs.ablation import DEFAULT_VARIANTS, ablate

    if arguments.test or arguments.task or arguments.common or arguments.jobs != 1:
        raise ValueError(
            "expected two folders with --test, --task, --common or --jobs, got none; "
            "name them: refusion ablate A B -o DIR --test NAME=A,B."
        )
    return ablate(
        arguments.variant or DEFAULT_VARIANTS,
        arguments.workdir,
        seeds=arguments.seeds,
        tell=complain,
        show=table_format(),
    )


def _on_pairs(arguments: argparse.Namespace) -> str:
    from refusion_jax.runs.ablation import DEFAULT_VARIANTS
    from refusion_jax.runs.study import study_of_folders

    if arguments.source_b is None:
        raise ValueError("expected two folders, A and B, got one; name the other.")
    return study_of_folders(
        arguments.variant or DEFAULT_VARIANTS,
        arguments.workdir,
        source_a=arguments.source_a,
        source_b=arguments.source_b,
        tests=arguments.test,
        task=arguments.task,
        common=arguments.common,
        seeds=arguments.seeds,
        jobs=arguments.jobs,
        tell=complain,
        show=table_format(),
    )
