"""`refusion export`: writes the fusion network to a file that runs elsewhere."""

import argparse
from pathlib import Path

from refusion_jax.commands.messages import complain, say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.pictures.names import COLOURS, RANGES

EXAMPLES = """\
examples:
  refusion export runs/mine -o mine.onnx
  refusion export ivif -o ivif.jax --colour=inside

exit status: 0 written and equal to the network, 1 not equal, 2 wrong usage
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "export",
        run,
        summary="write weights as a program that runs without this package",
        description="Write the fusion network with its weights to one file, run it on "
        "a size that it has not seen, and compare it with the network.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help=".safetensors, .pth, run folder, or the name of weights of the package",
    )
    parser.add_argument(
        "-o",
        "--output",
        dest="out",
        type=Path,
        required=True,
        metavar="OUT",
        help="NAME.jax (extra `export`), or NAME.onnx (jax2onnx and onnxruntime)",
    )
    parser.add_argument(
        "--colour",
        choices=COLOURS,
        default=COLOURS[0],
        help="outside: luminance in, the network's own output out (default); inside: "
        "RGB in, RGB out",
    )
    parser.add_argument(
        "--range",
        dest="output_range",
        choices=RANGES,
        help="black and white of the result, with --colour=inside (default: as "
        "refusion fuse does with these weights)",
    )
    parser.add_argument(
        "--task",
        metavar="TEXT",
        help="free text to store in the JSON; unlike elsewhere, it chooses nothing",
    )


def run(arguments: argparse.Namespace) -> int:
    """Exports, checks and reports.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 when the file is written, 1 if it does not give what the network gives.

    Raises:
      OSError, ValueError, ImportError: if the weights cannot be read or exported.
    """
    from refusion_jax.export.checked import ExportError, export_checked

    try:
        lines = export_checked(
            arguments.weights,
            arguments.out,
            colour=arguments.colour,
            output_range=arguments.output_range,
            task=arguments.task,
        )
    except ExportError as error:
        complain(error)
        return 1
    say("\n".join(lines))
    return 0
