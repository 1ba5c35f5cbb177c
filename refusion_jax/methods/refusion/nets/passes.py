"""Passes over feature maps: the same mathematics on strips (training) and on tiles.

The networks' modules define a function of one piece of the picture with its halo. This
module runs that function over all pieces: for training, where the backward pass needs
all intermediates, on strips (`nets.strips`); for inference, where one map of features
is updated in place, on tiles (`nets.in_place`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from refusion_jax.methods.refusion.nets.in_place import InPlace, total, update
from refusion_jax.methods.refusion.nets.primitives import computed_once
from refusion_jax.methods.refusion.nets.strips import (
    Grid,
    Strips,
    extend,
    for_each_strip,
    neighbours,
    picture_mask,
    sum_over_strips,
    sweep,
    without_halo,
)
from refusion_jax.methods.refusion.nets.tiles import Tiling

Walk = Grid | Tiling
Features = Strips | InPlace
# A function of a piece with its halo (channels x extended) and mask (1 x extended).
Piecewise = Callable[[Array, Array], Any]


def replace(body: Piecewise, features: Any, walk: Walk) -> Any:
    """Replaces each piece by a function of it.

    Args:
      body: maps a piece with halo, and its mask, to a piece without halo.
      features: features on strips or on tiles.
      walk: the grid or tiling of the features.

    Returns:
      Features in the same form.
    """
    if isinstance(walk, Tiling):
        return update(body, features, walk)
    return _sweep(body, features, walk)


def attend(
    project: Piecewise,
    matrices: Callable[[Any], Array],
    mix: Callable[[Array, Array], Array],
    features: Any,
    walk: Walk,
) -> Any:
    """Adds attention whose matrix depends on all pixels of a picture.

    On strips one pass computes statistics and values; on tiles values are computed
    again where they are needed, because that is cheaper than storing them.

    Args:
      project: maps a piece with halo, and its mask, to statistics, which add up over
        pieces, and to values without halo.
      matrices: maps the statistics of pictures (leading axis) to their matrices.
      mix: maps a matrix and values to a piece without halo.
      features: features on strips or on tiles.
      walk: the grid or tiling of the features.

    Returns:
      Features in the same form.
    """
    if isinstance(walk, Tiling):
        of_picture = total(lambda *piece: project(*piece)[0], features, walk)
        matrix = matrices(jax.tree.map(lambda x: x[None], of_picture))[0]

        def body(extended: Array, mask: Array) -> Array:
            value = project(extended, mask)[1]
            return without_halo(extended, walk) + mix(matrix, value)

        return update(body, features, walk)
    statistics, values = _sweep(project, features, walk)
    matrix = matrices(sum_over_strips(statistics, walk))
    return features + mix(for_each_strip(matrix, walk), values)


def _sweep(body: Piecewise, strips: Strips, grid: Grid) -> Any:
    def of_strip(inputs: tuple[Array, ...]) -> Any:
        *strip, mask = inputs
        return body(extend(*strip), computed_once(mask))

    mask = picture_mask(grid, jnp.dtype(strips.dtype))
    return sweep(of_strip, grid, (strips, *neighbours(strips, grid), mask))
