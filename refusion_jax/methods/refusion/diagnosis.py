"""What a run has learned, seen on held-out pairs: whether P chooses, and what F made.

A low reconstruction loss says little: it also falls while P prefers one source at every
pixel and F copies that source. So the loss maps and the fused pictures are measured
themselves, and a run whose P has collapsed or stayed indifferent says so.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from refusion_jax.array_types import Image, Scalar
from refusion_jax.methods.protocol import Scalars
from refusion_jax.methods.refusion.hand_made import edges
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.state import Pairs

SATURATED = 0.05  # a weight this close to 0 or 1 has next to no gradient left
# From here on a run is warned about.
COLLAPSED_SHARE = 0.95  # of pixels that prefer the same source, saturated
INDIFFERENT_SPREAD = 0.02  # standard deviation of w_a over the pixels
COPIED, APART = 0.99, 0.1  # correlation with one source, and how far the other is off
AVERAGED = 0.01  # mean distance from the mean of the sources, in luminance


def observe_weights(weights: WeightMaps, pairs: Pairs) -> Scalars:
    """Measures loss maps.

    Args:
      weights: what P proposes.
      pairs: for these.

    Returns:
      Of w (`intensity_weights_...`) and v (`gradient_weights_...`): mean and spread
      (standard deviation) of the weight of source a, the shares of pixels where it is
      saturated at 1 and at 0, and its correlation with the difference that a choice by
      hand would follow: I_a - I_b, and |grad I_a| - |grad I_b|.
    """
    differences = (
        pairs.source_a - pairs.source_b,
        edges(pairs.source_a) - edges(pairs.source_b),
    )
    scalars: Scalars = {}
    for name, maps, difference in zip(
        ("intensity", "gradient"), weights, differences, strict=True
    ):
        weight = maps[..., :1]
        scalars |= {
            f"{name}_weights_mean": weight.mean(),
            f"{name}_weights_spread": weight.std(),
            f"{name}_weights_at_one": (weight > 1 - SATURATED).mean(),
            f"{name}_weights_at_zero": (weight < SATURATED).mean(),
            f"{name}_weights_correlation": correlation(weight, difference),
        }
    return scalars


def observe_fused(fused: Image, pairs: Pairs) -> Scalars:
    """Measures fused pictures against their sources.

    Args:
      fused: F's output.
      pairs: what it was fused from.

    Returns:
      The correlation with each source, and the mean distance from their mean.
    """
    mean = (pairs.source_a + pairs.source_b) / 2
    return {
        "fused_correlation_a": correlation(fused, pairs.source_a),
        "fused_correlation_b": correlation(fused, pairs.source_b),
        "fused_distance_from_mean": jnp.abs(fused - mean).mean(),
        "sources_distance_from_mean": jnp.abs(pairs.source_a - mean).mean(),
    }


def correlation(x: Array, y: Array) -> Scalar:
    """Returns Pearson's correlation over all pixels; 0 where either is constant.

    Args:
      x, y: of one shape.

    >>> round(float(correlation(jnp.arange(4.0), 3 - 2 * jnp.arange(4.0))), 6)
    -1.0
    """
    # A constant minus its mean is rounding, not always 0.
    is_varied = (x.max() > x.min()) & (y.max() > y.min())
    x, y = x - x.mean(), y - y.mean()
    scale = jnp.sqrt(jnp.square(x).mean() * jnp.square(y).mean())
    is_defined = is_varied & (scale > 0)
    return jnp.where(is_defined, (x * y).mean() / jnp.where(is_defined, scale, 1), 0.0)


def verdict(scalars: Mapping[str, float]) -> str:
    """Says in a sentence what is wrong with what a run has learned.

    Args:
      scalars: of a validation; those of the weights are there if P is learned.

    Returns:
      The sentence; empty if nothing is seen, or if the scalars are of an older run.
    """
    for name, letter in (("intensity", "w"), ("gradient", "v")):
        for end, source in (("one", "a"), ("zero", "b")):
            share = scalars.get(f"{name}_weights_at_{end}", 0.0)
            if share > COLLAPSED_SHARE:
                return (
                    f"P has collapsed: {letter} prefers source {source} at {share:.0%} "
                    "of all pixels, where softmax has no gradient left; start again "
                    "with a smaller --proposal_learning_rate, or with "
                    "--loss_weights=rule --imitation_steps=0."
                )
    if scalars.get("intensity_weights_spread", 1.0) < INDIFFERENT_SPREAD:
        return (
            "P is indifferent: w is nearly the same at all pixels (spread "
            f"{scalars['intensity_weights_spread']:.3f}), so it says nothing about "
            "where a source should be kept."
        )
    if sentence := _verdict_on_fused(scalars):
        return sentence
    rank, of_average = (scalars.get(f"{x}_rank", 0.0) for x in ("fused", "average"))
    if rank > of_average:
        return (
            "F is worse than the average of the sources: mean rank "
            f"{rank:.2f} against {of_average:.2f} over the paper's columns."
        )
    return ""


def _verdict_on_fused(scalars: Mapping[str, float]) -> str:
    of_a, of_b = (scalars.get(f"fused_correlation_{x}", 0.0) for x in "ab")
    for source, own, other in (("a", of_a, of_b), ("b", of_b, of_a)):
        if own > COPIED and other < own - APART:
            return (
                f"F copies source {source}: the fused pictures correlate with it by "
                f"{own:.3f}, with the other by {other:.3f}."
            )
    distance = scalars.get("fused_distance_from_mean", 1.0)
    if distance < AVERAGED < scalars.get("sources_distance_from_mean", 0.0) / 4:
        return (
            "F averages: the fused pictures are the mean of their sources, to "
            f"{255 * distance:.1f} of 255 levels."
        )
    return ""
