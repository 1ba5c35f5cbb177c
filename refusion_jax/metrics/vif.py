"""Visual information fidelity: two metrics that papers both call "VIF".

There are four scales k = 1..4 with Gaussian windows of N = 17, 9, 5, 3 taps, sigma
N / 5, inside the picture. For each scale after the first, both pictures are filtered
with that scale's window and every second row and column is kept. Per pixel, for a
source x and the fused picture y, with local variances (not below 0) and covariance,

    g = s_xy / (s_x^2 + 1e-10),   v = s_y^2 - g s_xy
    information kept     log10(1 + g^2 s_x^2 / (v + q))
    information there    log10(1 + s_x^2 / q)

where q is the variance of the eye's noise. The two metrics, `vifp_sum` and `viff`,
differ in how they combine these two maps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels, ratio
from refusion_jax.metrics.windows import (
    Map,
    Pictures,
    Taps,
    gaussian_taps,
    local_mean,
    local_moments,
    sums_over_windows,
)

WINDOWS = tuple(gaussian_taps(size, size / 5) for size in (17, 9, 5, 3))
NOISE_VIFP = 2.0
NOISE_VIFF = 0.005 * 255**2
SCALE_WEIGHTS_VIFF = (1.0, 0.0, 0.15, 1.0)
EPSILON = 1e-10
# 41 x 41 pixels leave one window on the coarsest scale.
SMALLEST_SIDE = 41


class Channel(NamedTuple):
    """The distortion channel from a source to the fused picture, at one scale.

    Attributes:
      gain: g.
      residual: v, the variance that the gain does not explain, at least EPSILON.
      variance: s_x^2 of the source.
    """

    gain: Map
    residual: Map
    variance: Map

    def kept(self, noise: float) -> Map:
        """Returns the information kept in the fused picture, in decimal digits."""
        power = self.gain**2 * self.variance
        return jnp.log10(1 + power / (self.residual + noise))

    def present(self, noise: float) -> Map:
        """Returns the information there in the source, in decimal digits."""
        return jnp.log10(1 + self.variance / noise)


def _sums_by_scale(
    source_a: Levels,
    source_b: Levels,
    fused: Levels,
    maps: Callable[[Channel, Channel], Sequence[Map]],
    scales: Sequence[int] = range(len(WINDOWS)),
) -> Float[Array, "scales maps"]:
    """Returns the sums over the windows of each of these scales, the finest first."""
    images = jnp.stack(
        as_levels(source_a, source_b, fused, smallest_side=SMALLEST_SIDE)
    )
    sums = []
    for scale, taps in enumerate(WINDOWS):
        if scale:
            images = local_mean(images, taps, stride=2)
        if scale not in scales:
            continue

        def of_strip(strip: Pictures, taps: Taps = taps) -> Sequence[Map]:
            _, variances, covariances = local_moments(strip, ((0, 2), (1, 2)), taps)
            return maps(
                _channel(variances[0], variances[2], covariances[0]),
                _channel(variances[1], variances[2], covariances[1]),
            )

        sums.append(sums_over_windows(of_strip, images, len(taps)))
    return jnp.stack(sums)


def _channel(of_source: Map, of_fused: Map, covariance: Map) -> Channel:
    of_source, of_fused = jnp.maximum(of_source, 0), jnp.maximum(of_fused, 0)
    gain = covariance / (of_source + EPSILON)
    residual = of_fused - gain * covariance
    # In this order, because the exceptions overlap and the reference codes have it.
    is_flat = of_source < EPSILON
    gain = jnp.where(is_flat, 0, gain)
    residual = jnp.where(is_flat, of_fused, residual)
    of_source = jnp.where(is_flat, 0, of_source)
    is_flat = of_fused < EPSILON
    gain = jnp.where(is_flat, 0, gain)
    residual = jnp.where(is_flat, 0, residual)
    residual = jnp.where(gain < 0, of_fused, residual)
    gain = jnp.maximum(gain, 0)
    return Channel(gain, jnp.maximum(residual, EPSILON), of_source)


def vifp_per_source(
    source_a: Levels, source_b: Levels, fused: Levels
) -> Float[Array, "2"]:
    """Returns VIFp (Sheikh & Bovik 2006, pixel domain) for each of the two sources.

    V(X, F) is the sum of the information kept over all pixels and scales, divided by
    the sum of the information there, q = 2.

    Args:
      source_a, source_b, fused: 0..255, sides of at least 41.

    Returns:
      V(A, F) and V(B, F), at least 0; NaN for a constant source (CDDFuse's evaluator
      returns 1). Needs float64 on saturated pictures.
    """

    def maps(of_a: Channel, of_b: Channel) -> list[Map]:
        kept = [channel.kept(NOISE_VIFP) for channel in (of_a, of_b)]
        return kept + [channel.present(NOISE_VIFP) for channel in (of_a, of_b)]

    sums = _sums_by_scale(source_a, source_b, fused, maps).sum(axis=0)
    return ratio(sums[:2], sums[2:])


def vifp_sum(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns VIFp summed over the sources: V(A, F) + V(B, F), see `vifp_per_source`.

    Args:
      source_a, source_b, fused: 0..255, sides of at least 41.

    Returns:
      At least 0, about 2 if F equals both sources; NaN if a source is constant. Needs
      float64 on saturated pictures (float32 changes it by up to 0.15 %).

    Note:
      CDDFuse's evaluator calls this "VIFF", Tang's toolkit "VIF". IVIF_ZOO pads with
      zeros and samples its windows off centre, and differs by 4 %.

    Examples:
      >>> ramp = jnp.arange(48 * 48).reshape(48, 48) % 256
      >>> f"{vifp_sum(ramp, ramp, ramp):.3f}"
      '2.000'
    """
    return vifp_per_source(source_a, source_b, fused).sum()


def viff(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns VIFF, VIF for fusion (Han, Cai, Cao & Xu 2013), as MEFB computes it.

    At every pixel and scale the source with the smaller gain g counts (B if they are
    equal); R_k = sum(kept + 1e-7) / sum(there + 1e-7), q = 0.005 * 255^2;
    VIFF = (R_1 + 0 R_2 + 0.15 R_3 + R_4) / 2.15. Tables 3 and 4 of the paper are
    consistent with this variant.

    Args:
      source_a, source_b, fused: 0..255, sides of at least 41.

    Returns:
      At least 0, can exceed 1. Needs float64 on saturated pictures (float32 changes it
      by up to 1 %). Where F equals a source, rounding decides ties of g (4e-4).

    Examples:
      >>> ramp = jnp.arange(48 * 48).reshape(48, 48) % 256
      >>> f"{viff(ramp, ramp, ramp):.3f}"
      '1.000'
    """

    def maps(of_a: Channel, of_b: Channel) -> list[Map]:
        is_from_a = of_a.gain < of_b.gain
        chosen = Channel(
            *(jnp.where(is_from_a, x, y) for x, y in zip(of_a, of_b, strict=True))
        )
        return [chosen.kept(NOISE_VIFF) + 1e-7, chosen.present(NOISE_VIFF) + 1e-7]

    weights = {k: weight for k, weight in enumerate(SCALE_WEIGHTS_VIFF) if weight}
    sums = _sums_by_scale(source_a, source_b, fused, maps, tuple(weights))
    shares = jnp.asarray(tuple(weights.values()), sums.dtype)
    return jnp.sum(shares * sums[:, 0] / sums[:, 1]) / shares.sum()
