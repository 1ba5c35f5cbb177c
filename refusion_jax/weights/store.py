"""Weight files: our `.safetensors`, and the authors' released `.pth`."""

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
from refusion_jax.methods.protocol import FusionModel, Method
from refusion_jax.methods.registry import DEFAULT, find
from refusion_jax.weights.authors import authors_trees
from refusion_jax.weights.checks import check_leaves
from refusion_jax.weights.pretrained import (
    RUN_WEIGHTS,
    pretrained_file,
    pretrained_listing,
    pretrained_names,
)
from refusion_jax.weights.pth import existing_file, is_pth, read_pth

METHOD_NOTE = "method"  # the metadata that names whose weights a file holds


class Weights(NamedTuple):
    """The content of a `.safetensors` file of ours.

    Attributes:
      method: the one that the weights belong to.
      trees: parameter trees by name: any of `method.trees`.
      metadata: free text by name, such as the configuration of the training.
    """

    method: Method
    trees: dict[str, Params]
    metadata: dict[str, str]


def load_model(path: str | os.PathLike[str], *, is_fast: bool = False) -> FusionModel:
    """Loads weights as a model that fuses.

    Args:
      path: a `.pth` of the authors, our `.safetensors`, a run folder that holds one, or
        the name of shipped weights where no file has that name.
      is_fast: whether to leave out all networks but the first of the method's trees,
        the one that fuses; where others guide it, pictures change.

    Returns:
      The model, in the variant that was trained.

    Raises:
      FileNotFoundError: if there is no such file, or no exported weights in the folder.
      ValueError: if the file is of another kind, broken, or lacks the fusing network.
    """
    weights = load_any_weights(path)
    trees, fusing = weights.trees, weights.method.trees[0]
    if is_fast and fusing in trees:
        trees = {fusing: trees[fusing]}
    return weights.method.model(trees, str(weights_file(path)), weights.metadata)


def as_model(
    weights: str | os.PathLike[str] | FusionModel | Mapping[str, Any],
) -> FusionModel:
    """Returns a model that fuses, whichever form the weights have.

    Args:
      weights: a path as `load_model` takes it, a model, or the parameters of the
        default method's fusing network.

    Raises:
      FileNotFoundError, ValueError: as `load_model` does.
    """
    if isinstance(weights, str | os.PathLike):
        return load_model(weights)
    if isinstance(weights, FusionModel):
        return weights
    method = find(DEFAULT)
    return method.model({method.trees[0]: weights}, f"parameters of {method.name}", {})


def chosen_model(
    weights: str | os.PathLike[str] | FusionModel | Mapping[str, Any] | None,
    task: str | None,
) -> FusionModel:
    """Returns the model of weights, or that of a task's shipped weights.

    Args:
      weights: as for `as_model`;
      task: or the name of shipped weights. Exactly one of the two.

    Raises:
      FileNotFoundError, ValueError: as `load_model` does, or if both or neither are
        given.
    """
    if weights is not None and task is None:
        return as_model(weights)
    if task is not None and weights is None:
        return load_model(pretrained_file(task))
    raise ValueError(
        f"expected either weights or a task among {pretrained_listing()}, got "
        f"{'neither' if task is None else 'both'}; name one of them."
    )


def load_any_weights(path: str | os.PathLike[str]) -> Weights:
    """Loads all parameter trees of a weight file or a run folder.

    Args:
      path: as for `load_model`.

    Returns:
      The trees and the metadata; a `.pth` file has no metadata.

    Raises:
      FileNotFoundError: if there is no such file, or no exported weights in the folder.
      ValueError: if the file is of another kind or broken.
    """
    path = weights_file(path)
    if path.suffix == ".pth" or is_pth(path):
        return Weights(find(DEFAULT), authors_trees(read_pth(path)), {})
    if path.suffix != ".safetensors":
        raise ValueError(
            "expected a .safetensors file, a .pth file, a run folder or one of the "
            f"shipped weights {pretrained_listing()}, got {path}; "
            "name one of these."
        )
    return load_weights(path)


def weights_file(path: str | os.PathLike[str]) -> Path:
    """Returns the path of the weight file that a path stands for.

    Args:
      path: a file, a run folder, or the name of shipped weights.

    Returns:
      The file itself, or the one in the folder, which need not exist; the shipped file
      where there is nothing at a path that is its name.

    Raises:
      FileNotFoundError, ValueError: as `pretrained_file` does.
    """
    path = Path(path)
    if path.is_dir() and not (path / RUN_WEIGHTS).exists():
        pickles = [*path.glob("data.pkl"), *path.glob("*/data.pkl")]
        if pickles:
            raise ValueError(
                f"expected weights, got the folder {path} of an unpacked .pth file; "
                "download the file again without unpacking it."
            )
    if path.is_dir():
        return path / RUN_WEIGHTS
    if not path.exists() and str(path) in pretrained_names():
        return pretrained_file(str(path))
    return path


def save_weights(
    path: str | os.PathLike[str],
    trees: Any,
    metadata: Mapping[str, str] | None = None,
    *,
    method: Method | None = None,
) -> None:
    """Writes parameter trees; the file appears whole or not at all.

    Tensors are named by their path, such as `fusion/decoder/norm1/scale`.

    Args:
      path: ends in `.safetensors`; an existing file is replaced.
      trees: a mapping or a NamedTuple of any of the method's trees; float32 leaves.
      metadata: text to store with them.
      method: the one that the trees belong to; the default method if None.

    Raises:
      ValueError: if the ending is another, or a tree is not one of the method's or not
        finite.
    """
    path, method = Path(path), method or find(DEFAULT)
    if path.suffix != ".safetensors":
        raise ValueError(
            f"expected a name ending in .safetensors, got {path}; rename it."
        )
    named = trees if isinstance(trees, Mapping) else trees._asdict()
    leaves = {name: flatten_dict(tree, sep="/") for name, tree in named.items()}
    _check_trees(method, leaves, str(path))
    tensors = flatten_dict(jax.tree.map(partial(np.array, order="C"), leaves), sep="/")
    notes = {**(metadata or {}), METHOD_NOTE: method.name}
    replace_file(path, safetensors.numpy.save(tensors, notes))


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Reads a file of `save_weights` and checks it against the method's networks.

    Args:
      path: a `.safetensors` file.

    Returns:
      The trees, as float32 numpy arrays, and the metadata.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is broken, or its trees are not the method's or not finite.
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
    # A file that names no method was written when there was only one.
    method = find(metadata.pop(METHOD_NOTE, DEFAULT))
    _check_trees(method, leaves, str(path))
    trees = {name: unflatten_dict(tree, sep="/") for name, tree in leaves.items()}
    return Weights(method, trees, metadata)


def parameter_count(tree: Params) -> int:
    """Returns the number of parameters in a tree.

    Args:
      tree: of arrays.
    """
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def _check_trees(
    method: Method, trees: Mapping[str, Mapping[str, Any]], place: str
) -> None:
    if not trees or not set(trees) <= set(method.trees):
        raise ValueError(
            f"expected any of the trees {', '.join(method.trees)} for {place}, got "
            f"{', '.join(sorted(trees)) or 'none'}; choose from these."
        )
    for name, leaves in trees.items():
        # Saving checks as strictly as loading, lest a run write a file that cannot be
        # read back. The method traces its network for the shapes, without compiling
        # it, once per process and variant.
        shapes = method.shapes(name, leaves)
        check_leaves(shapes, leaves, f"the weights of {name} for {place}")
