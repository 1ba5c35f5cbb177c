"""The released networks' golden values: weights under our names, pictures, outputs."""

import json
import re

import numpy as np
from flax.traverse_util import unflatten_dict

from refusion_jax.methods.uaafusion.nets.networks import shapes_of

UNITS = {
    "conv1": "features",
    "conv2": "recall",
    "conv3": "attention",
    "conv4.0": "output",
    "conv5": "combine",
    "conv6": "long_term",
}
STARTS = {
    "init_conv_ir": "source_a",
    "init_conv_vi": "source_b",
    "init_conv_f0.0": "unused",
}
PARTS = {
    "0.weight": "first/kernel",
    "0.bias": "first/bias",
    "1.weight": "slope",
    "2.weight": "second/kernel",
    "2.bias": "second/bias",
}
GATES = ("f", "i", "o", "j")
DECODER = {
    "shortcut_conv.0": "low",
    "shortcut_conv.1": "low",
    "cat_conv.0": "first",
    "cat_conv.1": "first",
    "cat_conv.4": "second",
    "cat_conv.5": "second",
    "cls_conv": "classes",
}
MOMENTS = {"running_mean": "mean", "running_var": "variance"}


def fusion_name(name):
    """Our leaf of a tensor of F, and which part of it: stage, and gate if any."""
    if name == "alpha":
        return "step_sizes", (), None
    if (
        match := re.fullmatch(r"(init_conv_\w+(?:\.0)?)\.conv_unit\.(.*)", name)
    ) is not None:
        return f"start/{STARTS[match[1]]}/{PARTS[match[2]]}", (), None
    stage, rest = re.fullmatch(r"blockflow\.(\d)\.(.*)", name).groups()
    if (match := re.fullmatch(r"lstm\.conv_([xh])([fioj])\.(\w+)", rest)) is not None:
        side = {"x": "input", "h": "hidden"}[match[1]]
        kind = {"weight": "kernel", "bias": "bias"}[match[3]]
        return f"stages/lstm/{side}/{kind}", (int(stage),), GATES.index(match[2])
    match = re.fullmatch(r"(conv\d(?:\.0)?)\.conv_unit\.(.*)", rest)
    return f"stages/{UNITS[match[1]]}/{PARTS[match[2]]}", (int(stage),), None


BACKBONE = re.compile(r"feature_extractor\.features\.(\d+)\.(?:conv\.)?(\d)")
NORMS = ("shortcut_conv.1", "cat_conv.1", "cat_conv.5")


def segmentation_name(name):
    """Tree and leaf of a tensor of S; None for PyTorch's counters."""
    place, _, kind = name.rpartition(".")
    if kind == "num_batches_tracked":
        return None
    if (match := BACKBONE.fullmatch(place)) is not None:
        block, number = int(match[1]), int(match[2])
        is_norm = number in (1, 4, 7)
        layers = ("expand", "depthwise", "project")[1 if block == 1 else 0 :]
        path = [f"block_{block:02d}", layers[number // 3]] if block else ["stem"]
    else:
        is_norm = place in NORMS
        path = ["decoder", DECODER[place]]
    if kind in MOMENTS:
        path = path if len(path) == 2 else [*path, "norm"]
        return "statistics", "/".join([*path, MOMENTS[kind]])
    if is_norm:
        path = [*path, "norm", {"weight": "scale", "bias": "bias"}[kind]]
    else:
        path = [*path, {"weight": "kernel", "bias": "bias"}[kind]]
    return "segmentation", "/".join(path)


def to_ours(array):
    """A kernel in our layout: HWIO, a matrix for 1x1."""
    if array.ndim < 4:
        return array
    if array.shape[2:] == (1, 1):
        return array[:, :, 0, 0].T
    return array.transpose(2, 3, 1, 0)


def part_of(leaf, index, gate):
    """The part of a leaf that one of their tensors is, in our layout; a view."""
    leaf = leaf[(*index, ...)]
    return leaf if gate is None else np.split(leaf, 4, axis=-1)[gate]


class Released:
    """Weights, inputs and outputs of the released networks."""

    def __init__(self, folder):
        self.fusion_tensors = dict(np.load(folder / "fusion_net.npz"))
        self.segmentation_tensors = dict(np.load(folder / "seg_net.npz"))
        self.inputs = np.load(folder / "inputs.npz")
        self.outputs = np.load(folder / "outputs.npz")
        self.report = json.loads((folder / "report.json").read_text())

    def fusion(self, dtype):
        leaves = {
            name: np.zeros(shape) for name, shape in shapes_of("fusion", {}).items()
        }
        for name, tensor in self.fusion_tensors.items():
            leaf, index, gate = fusion_name(name)
            tensor = to_ours(tensor)
            if leaf.endswith("slope"):
                tensor = tensor[0]
            part_of(leaves[leaf], index, gate)[...] = tensor
        leaves = {name: leaf.astype(dtype) for name, leaf in leaves.items()}
        return unflatten_dict(leaves, sep="/")

    def segmentation(self, dtype):
        """theta_S and the running statistics."""
        trees = {"segmentation": {}, "statistics": {}}
        for name, tensor in self.segmentation_tensors.items():
            if (place := segmentation_name(name)) is None:
                continue
            tree, path = place
            is_kernel = path.endswith("/kernel") and "decoder" not in path
            if is_kernel and tensor.shape[1] == 1:  # a window per channel
                tensor = tensor[:, 0].transpose(1, 2, 0)
            trees[tree][path] = to_ours(tensor).astype(dtype)
        return tuple(unflatten_dict(tree, sep="/") for tree in trees.values())

    def sources(self, case, dtype):
        names = ("infrared", "visible")
        return tuple(
            np.moveaxis(self.inputs[f"{case}.{name}"], 1, -1).astype(dtype)
            for name in names
        )

    def labels(self, case):
        return self.inputs[f"{case}.labels"].astype(np.int32)

    def output(self, name):
        """An output with channels last; stages stay first."""
        array = self.outputs[name]
        if name.endswith("_mean_std") or array.ndim < 4:
            return array
        return np.moveaxis(array, -3, -1)
