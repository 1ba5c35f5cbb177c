"""The trees of a run: F, S, and the running statistics of S."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jax import Array

from refusion_jax.array_types import Params, Shapes
from refusion_jax.methods.uaafusion.nets.fusion import init_fusion
from refusion_jax.methods.uaafusion.nets.identity import passing_on
from refusion_jax.methods.uaafusion.nets.segmentation import (
    init_segmentation,
    init_statistics,
)

_CLASSES_LEAF = "decoder/classes/bias"
UNKNOWN_CLASSES = 2  # of trees that do not say how many
USED, UNUSED = "step_sizes", "unused_step_sizes"


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


def is_fusion(tree: Params) -> bool:
    """Returns whether a tree is one of F."""
    return isinstance(tree, Mapping) and {"start", "stages"} <= set(tree)


def as_released(fusion: Params) -> Params:
    """Returns theta_F in the released variant: its step sizes are never used.

    The leaf's name tells the variants apart in weight files.

    Args:
      fusion: theta_F.
    """
    others = {name: tree for name, tree in fusion.items() if name != USED}
    return {**others, UNUSED: fusion[USED]}


def started(fusion: Params, *, released: bool, start: str) -> Params:
    """Returns theta_F as a run begins with it.

    Args:
      fusion: theta_F, as `init_fusion` makes it.
      released: whether to return it in the released variant.
      start: "identity" or "pytorch", see `nets.identity`.
    """
    fusion = passing_on(fusion) if start == "identity" else fusion
    return as_released(fusion) if released else fusion


def is_released(fusion: Params) -> bool:
    """Returns whether theta_F is of the released variant, see `as_released`."""
    return UNUSED in fusion


def shapes_of(name: str, leaves: Mapping[str, Any]) -> Shapes:
    """Returns the shape of each leaf of a tree.

    Args:
      name: of the tree.
      leaves: by path; they say the number of classes and the variant.
    """
    classes = np.shape(leaves.get(_CLASSES_LEAF, 0))
    shapes = _shapes(name, classes[0] if len(classes) == 1 else UNKNOWN_CLASSES)
    return as_released(shapes) if UNUSED in leaves else shapes


@cache
def _shapes(name: str, classes: int) -> Shapes:
    trees = jax.eval_shape(lambda key: init_params(key, classes=classes), _a_key())
    leaves = flatten_dict(getattr(trees, name), sep="/")
    return {path: leaf.shape for path, leaf in leaves.items()}


def _a_key() -> Array:
    return jax.random.key(0)
