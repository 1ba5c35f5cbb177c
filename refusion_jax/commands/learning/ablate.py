"""`refusion ablate`: trains variants side by side on demo pairs."""

import argparse
from pathlib import Path

from refusion_jax.commands.learning.working import working
from refusion_jax.commands.messages import complain, say
from refusion_jax.commands.parsers import Commands, add_command

EXAMPLES = """\
examples:
  refusion ablate -o runs/presets
  refusion ablate -o runs/orders --variant=meta_gradient=exact \\
      --variant=meta_gradient=first_order --variant=loss_weights=equal,meta_steps=0

A variant is field=value,... on top of a run of minutes; preset=NAME is one of the
fields. The pairs are photographs blurred or exposed twice (extra `demo`), so that the
true picture is known. The same command resumes.

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
        description="Train variants of the settings side by side where the true "
        "picture is known, and print a table.",
        examples=EXAMPLES,
    )
    parser.set_defaults(is_training=True)
    parser.add_argument(
        "-o",
        "--output",
        "--workdir",
        dest="workdir",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the runs, ablation.json and table.md",
    )
    parser.add_argument(
        "--variant",
        action="append",
        metavar="FIELD=VALUE,...",
        help="a variant; repeat it for more (default: the presets)",
    )
    parser.add_argument(
        "--seeds", type=int, default=2, metavar="N", help="runs per variant (default 2)"
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
    from refusion_jax.runs.ablation import DEFAULT_VARIANTS, ablate

    with working() as codes:
        text = ablate(
            arguments.variant or DEFAULT_VARIANTS,
            arguments.workdir,
            seeds=arguments.seeds,
            tell=complain,
        )
        say(text.rstrip("\n"))
    return codes[0] if codes else 0
