"""The trees of a run: F, S, and the running statistics of S."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
from flax.traverse_util import flatten_dict
from jax import Array

from refusion_jax.array_types import Params, Shapes
from refusion_jax.methods.uaafusion.nets.fusion import init_fusion
from refusion_jax.methods.uaafusion.nets.segmentation import (
    init_segmentation,
    init_statistics,
)

_CLASSES_LEAF = "decoder/classes/bias"
UNKNOWN_CLASSES = 2  # of trees that do not say how many


class NetsParams(NamedTuple):
    """The parameter trees.

    Attributes:
      fusion: theta_F.
      segmentation: theta_S.
      statistics: the running statistics of S's normalisations.
    """

    fusion: Params
    segmentation: Params
    statistics: Params


def init_params(key: Array, *, classes: int) -> NetsParams:
    """Draws all trees.

    Args:
      key: random key.
      classes: number of S's classes, the unlabelled one included.
    """

    def init(key: Array) -> NetsParams:
        fusion_key, segmentation_key = jax.random.split(key)
        return NetsParams(
            init_fusion(fusion_key),
            init_segmentation(segmentation_key, classes),
            init_statistics(),
        )

    if isinstance(key, jax.core.Tracer):
        return init(key)  # part of a caller's program, such as eval_shape
    # Compiled without optimisation, because the program runs once.
    in_a_hurry = {"xla_backend_optimization_level": 0}
    return jax.jit(init, compiler_options=in_a_hurry)(key)


def classes_of(segmentation: Params) -> int:
    """Returns the number of classes that S tells apart.

    Args:
      segmentation: theta_S.
    """
    count: int = segmentation["decoder"]["classes"]["bias"].shape[0]
    return count


def shapes_of(name: str, leaves: Mapping[str, Any]) -> Shapes:
    """Returns the shape of each leaf of a tree.

    Args:
      name: of the tree.
      leaves: by path; those of S say the number of classes.
    """
    leaf = leaves.get(_CLASSES_LEAF)
    return _shapes(name, leaf.shape[0] if leaf is not None else UNKNOWN_CLASSES)


@cache
def _shapes(name: str, classes: int) -> Shapes:
    trees = jax.eval_shape(lambda key: init_params(key, classes=classes), _a_key())
    leaves = flatten_dict(getattr(trees, name), sep="/")
    return {path: leaf.shape for path, leaf in leaves.items()}


def _a_key() -> Array:
    return jax.random.key(0)
