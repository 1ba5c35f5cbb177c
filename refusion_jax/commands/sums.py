"""Numbers by which weights are recognised."""

import hashlib
from pathlib import Path

import jax
import numpy as np

from refusion_jax.array_types import Params


def parameter_count(tree: Params) -> int:
    """The number of trainable numbers.

    Args:
      tree: of arrays.
    """
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Args:
      path: an existing file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
