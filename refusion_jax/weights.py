"""Weights in files: our `.safetensors`, and the authors' released `.pth`."""

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from refusion_jax import nets
from refusion_jax.array_types import Params
from refusion_jax.files.atomic import replace_file
from refusion_jax.pth import existing_file, read_pth

RUN_WEIGHTS = "weights.safetensors"  # what a run folder exports at each save

Shapes = Mapping[str, tuple[int, ...]]


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
    trees: Mapping[str, Params] | nets.NetsParams,
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
    if isinstance(trees, nets.NetsParams):
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


def convert_authors(state_dict: Mapping[str, np.ndarray]) -> Params:
    """The authors' released weights as F's parameters.

    Their files hold each convolution twice, as `x.weight` and `x.conv.weight`; F uses
    the first. Kernels lose their axes of length one; sources and blocks are stacked.

    Args:
      state_dict: as `read_pth` returns it, 140 tensors of which 86 are distinct.

    Returns:
      theta_F, float32 numpy arrays.

    Raises:
      ValueError: if the tensors are not those of F, not finite, or two copies differ.
    """
    distinct = {}
    for key, array in state_dict.items():
        original = key.replace(".conv.weight", ".weight")
        if original == key or original not in state_dict:
            distinct[key] = np.asarray(array, np.float32)
        elif not np.array_equal(array, state_dict[original], equal_nan=True):
            raise ValueError(
                f"expected {key} and {original} to be identical, got two different "
                "tensors; use the authors' released file."
            )
    shapes = _network_shapes(nets.init_fusion)
    parts = {leaf: _authors_tensors(leaf, shape) for leaf, shape in shapes.items()}
    expected = {key: shape for part in parts.values() for key, shape in part.items()}
    _check_leaves(expected, distinct, "the authors' weights of F")
    leaves = {
        leaf: np.stack([distinct[key] for key in part]).reshape(shapes[leaf])
        for leaf, part in parts.items()
    }
    return unflatten_dict(leaves, sep="/")


# Ours to theirs, replaced one after the other: longer names come before their parts.
# {s} is the source, 1 or 2, and {i} the block, 0 or 1.
_AUTHORS_NAMES = {
    "encoders/project_in": "project_in_{s}",
    "encoders/body": "encoder{s}.{i}",
    "decoder": "decoder.{i}",
    "tail1": "project_out_0",
    "tail2": "project_out_1",
    "cross_attention/qkv": "FM.qkv{s}",
    "cross_attention/project_out": "FM.project_mid{s}",
    "cross_attention/temperature": "FM.temperature{s}",
    "gate_depthwise": "gate_d",
    "expand_depthwise": "expand_d",
    "refinement/gate": "FM.project_E",
    "refinement/expand": "FM.project_E{s}",
    "refinement/project_out": "FM.project_out{s}",
    "depthwise": "dwconv",
    "attention": "attn",
    "feed_forward": "ffn",
    "scale": "body.weight",
    "bias": "body.bias",
    "/": ".",
}


def _authors_tensors(leaf: str, shape: tuple[int, ...]) -> Shapes:
    """`decoder.{0,1}.attn.qkv.weight` and their shape for `decoder/attention/qkv`."""
    ending = "" if "temperature" in leaf or "norm" in leaf else ".weight"
    for ours, theirs in _AUTHORS_NAMES.items():
        leaf = leaf.replace(ours, theirs)
    shape = shape[leaf.count("{") :]
    if len(shape) == 3:  # a depthwise kernel
        shape = (shape[0], 1, *shape[1:])
    elif len(shape) == 2 or "temperature" in leaf:
        shape = (*shape, 1, 1)
    return {(leaf + ending).format(s=s, i=i): shape for s in (1, 2) for i in (0, 1)}


@cache
def _network_shapes(init: Callable[..., Params], **variant: Any) -> Shapes:
    """Shapes of a network's tree by leaf; `variant` as `init` takes it."""
    key = jax.eval_shape(jax.random.key, 0)
    tree = jax.eval_shape(partial(init, **variant), key)
    return flatten_dict(jax.tree.map(lambda leaf: leaf.shape, tree), sep="/")


def _announced_shapes(name: str, leaves: Mapping[str, Any]) -> Shapes:
    """Shapes that a tree must have in the variant that its leaves announce."""
    if name == "fusion":
        parts = {leaf.split("/")[0] for leaf in leaves}
        return _network_shapes(
            nets.init_fusion,
            interaction="cross_attention" in parts,
            gating="refinement" in parts,
        )
    if name == "proposal":
        return _network_shapes(nets.init_proposal)
    stack = np.shape(leaves.get("branches/encoder/body/attention/qkv", ()))
    # Other values are no variant; comparing with the default tells what is wrong.
    if len(stack) == 4 and stack[1] <= 64 and stack[3] in range(8, 1025, 8):
        return _network_shapes(
            nets.init_reconstruction, blocks=stack[1], width=stack[3]
        )
    return _network_shapes(nets.init_reconstruction)


def parameter_count(tree: Params) -> int:
    """Counts the numbers in a parameter tree.

    Args:
      tree: of arrays.
    """
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def _check_trees(trees: Mapping[str, Mapping[str, Any]], place: str) -> None:
    known = nets.NetsParams._fields
    if not trees or not set(trees) <= set(known):
        raise ValueError(
            f"expected any of the trees {', '.join(known)} for {place}, got "
            f"{', '.join(sorted(trees)) or 'none'}; choose from these."
        )
    for name, leaves in trees.items():
        shapes = _announced_shapes(name, leaves)
        _check_leaves(shapes, leaves, f"the weights of {name} for {place}")


def _check_leaves(expected: Shapes, leaves: Mapping[str, Any], what: str) -> None:
    """Refuses other names, other shapes, other number types and non-finite values."""
    problems = []
    for kind, names in (
        ("missing", expected.keys() - leaves.keys()),
        ("unexpected", leaves.keys() - expected.keys()),
    ):
        if names:
            problems.append(f"{len(names)} {kind} (first {min(names)!r})")
    for name in sorted(expected.keys() & leaves.keys()):
        array = np.asarray(leaves[name])
        if array.shape != expected[name]:
            problems.append(f"{name!r} of shape {array.shape}, not {expected[name]}")
        elif array.dtype != np.float32:
            problems.append(f"{name!r} of type {array.dtype}, not float32")
        elif not np.isfinite(array).all():
            problems.append(f"non-finite values in {name!r}")
    if problems:
        raise ValueError(
            f"expected {what} to be complete and finite, got "
            f"{', '.join(problems[:4])}; use weights of this network."
        )
