"""Weights in files: our `.safetensors`, and the authors' released `.pth`."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from refusion_jax.array_types import Params
from refusion_jax.files.atomic import replace_file
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.authors import convert_authors
from refusion_jax.weights.checks import check_leaves
from refusion_jax.weights.pth import existing_file, read_pth

RUN_WEIGHTS = "weights.safetensors"  # what a run folder exports at each save


class Weights(NamedTuple):
    """What a `.safetensors` file of ours holds.

    Attributes:
      trees: parameter trees by name: any of "fusion", "reconstruction", "proposal".
      metadata: free text by name, such as the configuration of the training.
    """

    trees: dict[str, Params]
    metadata: dict[str, str]


def load_fusion_params(path: str | os.PathLike[str]) -> Params:
    """F's parameters from any place that holds them.

    Args:
      path: a `.pth` of the authors, our `.safetensors`, or a run folder that holds one.

    Returns:
      theta_F, float32 numpy arrays, in the variant that was trained.

    Raises:
      FileNotFoundError: if there is nothing, or no exported weights in the folder.
      ValueError: if the file is of another kind, broken, or not of F.
    """
    trees = load_any_weights(path).trees
    return require_fusion(trees, str(weights_file(path)))["fusion"]


def require_fusion(trees: dict[str, Params], place: str) -> dict[str, Params]:
    """Refuses weights without F.

    Args:
      trees: by name.
      place: where they are from.

    Returns:
      The trees.

    Raises:
      ValueError: if "fusion" is not among them.
    """
    if "fusion" not in trees:
        raise ValueError(
            f"expected weights of the fusion network in {place}, got only "
            f"{', '.join(trees)}; name a file that holds fusion."
        )
    return trees


def load_any_weights(path: str | os.PathLike[str]) -> Weights:
    """All that a place of weights holds.

    Args:
      path: as for `load_fusion_params`.

    Returns:
      The trees and the metadata; of a `.pth` file, fusion and no metadata.

    Raises:
      FileNotFoundError: if there is nothing, or no exported weights in the folder.
      ValueError: if the file is of another kind or broken.
    """
    path = weights_file(path)
    if path.suffix == ".pth":
        return Weights({"fusion": convert_authors(read_pth(path))}, {})
    if path.suffix != ".safetensors":
        raise ValueError(
            f"expected a .safetensors file, a .pth file or a run folder, got {path}; "
            "name one of these."
        )
    return load_weights(path)


def weights_file(path: str | os.PathLike[str]) -> Path:
    """The file that holds the weights of a place.

    Args:
      path: a file, or a run folder.

    Returns:
      The file itself, or the one in the folder; it need not exist.
    """
    path = Path(path)
    return path / RUN_WEIGHTS if path.is_dir() else path


def save_weights(
    path: str | os.PathLike[str],
    trees: Mapping[str, Params] | networks.NetsParams,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes parameter trees; the file appears complete or not at all.

    Tensors are named by their path, such as `fusion/decoder/norm1/scale`.

    Args:
      path: ends in `.safetensors`; an existing file is replaced.
      trees: any of "fusion", "reconstruction", "proposal"; float32 leaves.
      metadata: text to keep with them.

    Raises:
      ValueError: if the ending is another, or a tree is not one of ours or not finite.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a name ending in .safetensors, got {path}.")
    if isinstance(trees, networks.NetsParams):
        trees = trees._asdict()
    leaves = {name: flatten_dict(tree, sep="/") for name, tree in trees.items()}
    _check_trees(leaves, str(path))
    tensors = flatten_dict(jax.tree.map(partial(np.array, order="C"), leaves), sep="/")
    replace_file(path, safetensors.numpy.save(tensors, dict(metadata or {})))


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Reads what `save_weights` has written, and checks it against our networks.

    Args:
      path: a `.safetensors` file.

    Returns:
      The trees, as float32 numpy arrays, and the metadata.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is broken, or its trees are not of our networks or not finite.
    """
    path = existing_file(path)
    leaves: dict[str, dict[str, np.ndarray]] = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            for key in file.keys():
                name, _, leaf = key.partition("/")
                leaves.setdefault(name, {})[leaf] = file.get_tensor(key)
    # A number type that numpy lacks is a TypeError or an AttributeError.
    except (safetensors.SafetensorError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected a .safetensors file, got {path} ({error}); export it again."
        ) from error
    _check_trees(leaves, str(path))
    return Weights({k: unflatten_dict(v, sep="/") for k, v in leaves.items()}, metadata)


def parameter_count(tree: Params) -> int:
    """Counts the numbers in a parameter tree.

    Args:
      tree: of arrays.
    """
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def _check_trees(trees: Mapping[str, Mapping[str, Any]], place: str) -> None:
    known = networks.NetsParams._fields
    if not trees or not set(trees) <= set(known):
        raise ValueError(
            f"expected any of the trees {', '.join(known)} for {place}, got "
            f"{', '.join(sorted(trees)) or 'none'}; choose from these."
        )
    for name, leaves in trees.items():
        shapes = networks.shapes_of(name, leaves)
        check_leaves(shapes, leaves, f"the weights of {name} for {place}")
