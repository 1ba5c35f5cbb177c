"""The authors' names of F's weights, mapped to ours."""

from collections.abc import Mapping
from itertools import product

import numpy as np
from flax.traverse_util import unflatten_dict

from refusion_jax.array_types import Params
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.checks import check_leaves

# Our leaf to the authors' tensor, {source} being 1 or 2 and {block} 0 or 1. They store
# one tensor per source and block; we stack these along leading axes, in that order.
_BLOCK = {
    "norm1/scale": "norm1.body.weight",
    "norm1/bias": "norm1.body.bias",
    "attention/temperature": "attn.temperature",
    "attention/qkv": "attn.qkv.weight",
    "attention/qkv_depthwise": "attn.qkv_dwconv.weight",
    "attention/project_out": "attn.project_out.weight",
    "norm2/scale": "norm2.body.weight",
    "norm2/bias": "norm2.body.bias",
    "feed_forward/project_in": "ffn.project_in.weight",
    "feed_forward/depthwise": "ffn.dwconv.weight",
    "feed_forward/project_out": "ffn.project_out.weight",
}
_AUTHORS_NAMES = {
    "encoders/project_in": "project_in_{source}.weight",
    **{
        f"encoders/body/{ours}": f"encoder{{source}}.{{block}}.{theirs}"
        for ours, theirs in _BLOCK.items()
    },
    "cross_attention/qkv": "FM.qkv{source}.weight",
    "cross_attention/qkv_depthwise": "FM.qkv{source}_dwconv.weight",
    "cross_attention/temperature": "FM.temperature{source}",
    "cross_attention/project_out": "FM.project_mid{source}.weight",
    "refinement/gate": "FM.project_E.weight",
    "refinement/gate_depthwise": "FM.project_E_d.weight",
    "refinement/expand": "FM.project_E{source}.weight",
    "refinement/expand_depthwise": "FM.project_E{source}_d.weight",
    "refinement/project_out": "FM.project_out{source}.weight",
    **{
        f"decoder/{ours}": f"decoder.{{block}}.{theirs}"
        for ours, theirs in _BLOCK.items()
    },
    "tail1": "project_out_0.weight",
    "tail2": "project_out_1.weight",
}


_WRAPPER = "module."  # before each name, if PyTorch's DataParallel saved the network


def authors_trees(state_dict: Mapping[str, np.ndarray]) -> dict[str, Params]:
    """Returns the authors' released weights as our trees: F alone.

    Args:
      state_dict: as `pth.read_pth` returns it.

    Raises:
      ValueError: as `convert_authors` does.
    """
    return {"fusion": convert_authors(state_dict)}


def convert_authors(state_dict: Mapping[str, np.ndarray]) -> Params:
    """Returns the authors' released weights as F's parameters.

    Their files hold each convolution twice, as `x.weight` and `x.conv.weight`; F uses
    the first. Kernels lose their axes of length one; sources and blocks are stacked.

    Args:
      state_dict: as `read_pth` returns it, 140 tensors of which 86 are distinct.

    Returns:
      theta_F, float32 numpy arrays.

    Raises:
      ValueError: if the tensors are not those of F, not finite, or two copies differ.
    """
    distinct = _without_copies(state_dict)
    shapes = networks.shapes_of("fusion", {"cross_attention": None, "refinement": None})
    parts = {leaf: _authors_names(leaf) for leaf in shapes}
    expected = {
        name: _authors_shape(leaf, shapes[leaf])
        for leaf, names in parts.items()
        for name in names
    }
    check_leaves(expected, distinct, "the authors' weights of F")
    leaves = {
        leaf: np.stack([distinct[name] for name in names]).reshape(shapes[leaf])
        for leaf, names in parts.items()
    }
    return unflatten_dict(leaves, sep="/")


def _without_copies(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns each tensor once, as float32; raises where two copies differ."""
    if state_dict and all(key.startswith(_WRAPPER) for key in state_dict):
        state_dict = {
            key.removeprefix(_WRAPPER): array for key, array in state_dict.items()
        }
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
    return distinct


def _authors_names(leaf: str) -> list[str]:
    """Returns the tensors that a leaf stacks: by source, then by block."""
    name = _AUTHORS_NAMES[leaf]
    sources = (1, 2) if "{source}" in name else (None,)
    blocks = (0, 1) if "{block}" in name else (None,)
    return [name.format(source=s, block=b) for s, b in product(sources, blocks)]


def _authors_shape(leaf: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of each tensor that a leaf of this shape stacks."""
    stacked_axes = _AUTHORS_NAMES[leaf].count("{")
    shape = shape[stacked_axes:]
    kind = leaf.rpartition("/")[2]
    if kind.endswith("depthwise"):  # ours is (channels, rows, columns)
        return (shape[0], 1, *shape[1:])
    if kind == "temperature" or len(shape) == 2:  # theirs broadcasts; a 1x1 convolution
        return (*shape, 1, 1)
    return shape
