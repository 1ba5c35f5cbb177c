"""`refusion serve`: a page on this machine that fuses what is dropped on it."""

import argparse
import dataclasses
from pathlib import Path

from refusion_jax.commands.messages import say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.commands.set_up import add_cache_option, set_up_jax
from refusion_jax.extras import require
from refusion_jax.web.limits import HOST, PORT, Limits
from refusion_jax.weights.pretrained import pretrained_listing

EXAMPLES = """\
examples:
  refusion serve --open
  refusion serve --weights runs/msrs --port 8000
  refusion serve --host 0.0.0.0

Only this machine can connect unless --host says otherwise; then the address that is
printed has a token. Nothing is sent anywhere, and pictures are removed when the command
ends.

exit status: 0 stopped by Ctrl-C, 2 wrong usage
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "serve",
        run,
        summary="fuse pictures on a page in the browser",
        description="Serve a page from this machine that fuses, compares, explains and "
        "scores the pictures that are dropped on it.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE_OR_RUN",
        help="offer these too: .safetensors file, the authors' .pth file, or a "
        "training run's folder",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help=f"shipped weights to begin with: {pretrained_listing()}; without it the "
        "page looks at the pictures",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        metavar="N",
        help=f"port to listen on (default {PORT}; 0: any)",
    )
    parser.add_argument(
        "--host",
        default=HOST,
        metavar="ADDRESS",
        help=f"address to listen on (default {HOST}: only this machine can connect)",
    )
    parser.add_argument(
        "--open", action="store_true", help="open the page in the browser"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=Limits().pixels,
        metavar="N",
        help=f"reject larger pictures (default {Limits().pixels})",
    )
    add_cache_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0.

    Raises:
      OSError, ValueError, ImportError: if the address or the weights cannot be used, or
        the extra is missing.
    """
    for package in ("starlette", "uvicorn", "python_multipart"):
        require(package, extra="serve", why="to serve the page")
    if arguments.max_pixels < 1:
        raise ValueError(
            f"expected --max-pixels of 1 or more, got {arguments.max_pixels}; raise it."
        )
    set_up_jax(arguments)
    from refusion_jax.devices.starting import start_failure
    from refusion_jax.web.models import Models
    from refusion_jax.web.serving import serve

    failure = start_failure()  # here, not at the first visitor's picture
    if failure is not None:
        raise ValueError(failure)
    serve(
        Models(arguments.weights, task=arguments.task),
        dataclasses.replace(Limits(), pixels=arguments.max_pixels),
        host=arguments.host,
        port=arguments.port,
        opens=arguments.open,
        tell=say,
    )
    return 0
