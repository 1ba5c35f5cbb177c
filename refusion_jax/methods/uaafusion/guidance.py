"""F guided by S: attribution, then unfolding, in the two variants.

| `is_released`       | False: the method           | True: what the code does       |
|---------------------|-----------------------------|--------------------------------|
| data step           | applied                     | left out (a statement without  |
|                     |                             | an effect)                     |
| attribution         | of each picture             | of the whole batch             |
| attention           | of each picture: the sum    | the mean over batch, classes   |
|                     | over its standard deviation | and pixels, close to 0         |
| unlabelled class    | has no attribution          | has one, though never learned  |
"""

import jax
import jax.numpy as jnp

from refusion_jax.array_types import Image, PairMap, Params
from refusion_jax.methods.uaafusion.attribution import (
    Attribution,
    CollectingSegment,
    Mask,
    attribute,
    by_deviation,
    pathway,
    regions_of,
    without_unlabelled,
)
from refusion_jax.methods.uaafusion.nets.fusion import Unfolding, unfold


def blend(source_a: Image, source_b: Image, weights: PairMap) -> Image:
    """Returns w_i i + w_v v, which the data step approaches."""
    return weights[..., :1] * source_a + weights[..., 1:] * source_b


def predicted_mask(
    segment: CollectingSegment, source_a: Image, source_b: Image, *, is_released: bool
) -> Mask:
    """Returns the mask that takes the place of labels in fusing: S's own.

    Args:
      segment: S.
      source_a, source_b: luminance in [0, 1].
      is_released: see the module.

    Returns:
      The sigmoids of S's logits of the sources' mean, f^(0).
    """
    logits, _ = segment(0.5 * (source_a + source_b))
    mask = jax.nn.sigmoid(logits)
    return mask if is_released else without_unlabelled(mask)


def attribute_sources(
    segment: CollectingSegment,
    source_a: Image,
    source_b: Image,
    mask: Mask,
    *,
    points: int,
    is_released: bool = False,
    at_once: int | None = None,
) -> Attribution:
    """Returns w_i and w_v, see `attribution.attribute`.

    Args:
      segment: S.
      source_a, source_b: luminance in [0, 1].
      mask: weights per class; a pixel's region is its largest one.
      points: K_a.
      is_released: see the module.
      at_once: see `attribution.attribute`.
    """
    return attribute(
        segment,
        source_a,
        source_b,
        regions_of(mask),
        points=points,
        is_joint=is_released,
        at_once=at_once,
    )


def unfold_guided(
    params: Params,
    segment: CollectingSegment,
    source_a: Image,
    source_b: Image,
    mask: Mask,
    weights: PairMap,
    *,
    is_released: bool = False,
) -> Unfolding:
    """Runs F with data steps towards the weighted sources and with attention.

    Args:
      params: theta_F.
      segment: S.
      source_a, source_b: luminance in [0, 1].
      mask: weights per class.
      weights: w_i and w_v.
      is_released: see the module.
    """
    return unfold(
        params,
        source_a,
        source_b,
        target=None if is_released else blend(source_a, source_b, weights),
        guide=pathway(segment, mask, is_mean=is_released),
        scale=_unchanged if is_released else by_deviation,
    )


def unfold_unguided(
    params: Params, source_a: Image, source_b: Image, *, is_released: bool = False
) -> Unfolding:
    """Runs F without S: w_i = w_v = 1/2 and no attention.

    Args:
      params: theta_F.
      source_a, source_b: luminance in [0, 1].
      is_released: see the module.
    """
    half = jnp.full((*source_a.shape[:-1], 2), 0.5, source_a.dtype)
    target = None if is_released else blend(source_a, source_b, half)
    return unfold(params, source_a, source_b, target=target)


def _unchanged(attention: Image) -> Image:
    return attention
