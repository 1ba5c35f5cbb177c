"""`refusion convert`: converts any weights to one `.safetensors` file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from refusion_jax.commands.messages import say
from refusion_jax.commands.parsers import Commands, add_command

if TYPE_CHECKING:
    from refusion_jax.weights.store import Weights

EXAMPLES = """\
examples:
  refusion convert ReFusion_IVIF.pth ivif.safetensors
  refusion convert runs/msrs msrs.safetensors --force

exit status: 0 converted, or TO holds the same already; 2 wrong usage or unusable
weights
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "convert",
        run,
        summary="write weights as a .safetensors file",
        description="Write the authors' .pth file or a training run's weights as a "
        ".safetensors file.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "source", type=Path, metavar="FROM", help=".pth, .safetensors or run folder"
    )
    parser.add_argument(
        "target", type=Path, metavar="TO", help=".safetensors file to write"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace TO if it holds other content"
    )


def run(arguments: argparse.Namespace) -> int:
    """Converts weights.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0.

    Raises:
      OSError, ValueError: if the weights cannot be read or written, or TO holds other
        content and `--force` is missing.
    """
    from refusion_jax.files.atomic import check_folder_of
    from refusion_jax.files.checksums import sha256_of
    from refusion_jax.weights.cards import read_card, write_card
    from refusion_jax.weights.pretrained import card_beside, record_beside
    from refusion_jax.weights.store import (
        load_any_weights,
        parameter_count,
        save_weights,
        weights_file,
    )

    target = arguments.target
    check_folder_of(target)
    weights = load_any_weights(arguments.source)
    source = weights_file(arguments.source)
    if target.exists() and _holds(target, weights):
        say(f"{target} holds these weights already")
        return 0
    if target.exists() and not arguments.force:
        raise ValueError(
            f"expected a new file, got {target}, which holds other content; name "
            "another file, or replace this one with --force."
        )
    origin = {"converted_from": source.name, "converted_from_sha256": sha256_of(source)}
    metadata = {**weights.metadata, **origin}
    save_weights(target, weights.trees, metadata, method=weights.method)
    if record := record_beside(source):  # its range, among others
        facts, body = read_card(record.card)
        write_card(card_beside(target), {**facts, "sha256": sha256_of(target)}, body)
    for name, tree in weights.trees.items():
        say(f"{target} {name}: {parameter_count(tree):,} parameters of {source}")
    return 0


def _holds(path: Path, weights: "Weights") -> bool:
    """Returns whether a file holds exactly these parameters, whatever its metadata."""
    import numpy as np
    from flax.traverse_util import flatten_dict

    from refusion_jax.weights.store import load_weights

    try:
        trees = load_weights(path).trees
    except (OSError, ValueError):
        return False
    ours, theirs = (flatten_dict(x, sep="/") for x in (trees, weights.trees))
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[name], theirs[name]) for name in ours
    )
