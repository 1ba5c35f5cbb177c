"""Checks that weights are complete, finite and of the expected shapes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from refusion_jax.array_types import Shapes


def check_leaves(expected: Shapes, leaves: Mapping[str, Any], what: str) -> None:
    """Raises unless the leaves are the expected ones, float32 and finite.

    Args:
      expected: shape of each leaf by its path.
      leaves: arrays by their paths.
      what: the weights' name in an error message.

    Raises:
      ValueError: naming leaves that are missing, unexpected, of another shape or number
        type, or not finite.
    """
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
