"""`refusion convert`: any weights to one `.safetensors` file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refusion_jax.weights.store import Weights

EXAMPLES = """\
examples:
  refusion convert ReFusion_IVIF.pth ivif.safetensors
  refusion convert runs/msrs msrs.safetensors --force

exit status: 0 converted, or the same is there; 2 wrong usage or unusable weights
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describes the arguments.

    Args:
      commands: where the parser goes.
    """
    parser = commands.add_parser(
        "convert",
        help="write weights as a .safetensors file",
        description="Write the authors' .pth file or a training run's weights as a "
        ".safetensors file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", type=Path, metavar="FROM", help=".pth, .safetensors or run folder"
    )
    parser.add_argument(
        "target", type=Path, metavar="TO", help=".safetensors file to write"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace TO if it holds other weights"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Converts weights.

    Args:
      arguments: as `add_parser` describes them.

    Returns:
      0.

    Raises:
      OSError, ValueError: if weights cannot be read or written, or TO holds others.
    """
    from refusion_jax.files.checksums import sha256_of
    from refusion_jax.weights.store import (
        load_any_weights,
        parameter_count,
        save_weights,
        weights_file,
    )

    weights, target = load_any_weights(arguments.source), arguments.target
    source = weights_file(arguments.source)
    if target.exists() and _holds(target, weights):
        print(f"{target} holds these weights already")
        return 0
    if target.exists() and not arguments.force:
        raise ValueError(
            f"expected a new file, got {target}, which holds other content; name "
            "another, or replace it by --force."
        )
    origin = {"converted_from": source.name, "converted_from_sha256": sha256_of(source)}
    save_weights(target, weights.trees, {**origin, **weights.metadata})
    for name, tree in weights.trees.items():
        print(f"{target} {name}: {parameter_count(tree):,} parameters of {source}")
    return 0


def _holds(path: Path, weights: "Weights") -> bool:
    """Whether a file has these very parameters; what else it notes does not matter."""
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
