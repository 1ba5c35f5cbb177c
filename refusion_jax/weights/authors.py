"""The authors' names of F's weights to ours."""

from collections.abc import Mapping

import numpy as np
from flax.traverse_util import unflatten_dict

from refusion_jax.array_types import Params, Shapes
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.checks import check_leaves


def authors_trees(state_dict: Mapping[str, np.ndarray]) -> dict[str, Params]:
    """Returns the authors' released weights as our trees: F alone.

    Args:
      state_dict: as `pth.read_pth` returns it.

    Raises:
      ValueError: as `convert_authors` does.
    """
    return {"fusion": convert_authors(state_dict)}


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
    shapes = networks.shapes_of("fusion", {"cross_attention": None, "refinement": None})
    parts = {leaf: _authors_tensors(leaf, shape) for leaf, shape in shapes.items()}
    expected = {key: shape for part in parts.values() for key, shape in part.items()}
    check_leaves(expected, distinct, "the authors' weights of F")
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
