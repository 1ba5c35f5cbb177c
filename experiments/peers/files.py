"""Files that contenders share in a folder, readable without JAX and without PyTorch.

`weights.safetensors` holds the parameters of the three networks, named by their path,
and `inputs.npz` the pictures, NHWC and float32.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

WEIGHTS = "weights.safetensors"
INPUTS = "inputs.npz"
ONNX = "fusion.onnx"


def read_leaves(folder: str) -> dict[str, dict[str, np.ndarray]]:
    """Reads the parameters, by network and path."""
    leaves: dict[str, dict[str, np.ndarray]] = {}
    tensors = safetensors.numpy.load_file(Path(folder) / WEIGHTS)
    for key, array in tensors.items():
        network, _, leaf = key.partition("/")
        leaves.setdefault(network, {})[leaf] = array
    return leaves


def read_inputs(folder: str) -> dict[str, np.ndarray]:
    """Reads the pictures, by name."""
    with np.load(Path(folder) / INPUTS) as inputs:
        return dict(inputs)


def flat(leaves: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns all entries of a tree as one vector, in the order of the paths."""
    return np.concatenate([np.ravel(leaves[leaf]) for leaf in sorted(leaves)])
