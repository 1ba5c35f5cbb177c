"""FMI, feature mutual information (Haghighat 2011; Haghighat & Razian 2014).

A feature is computed from each picture. Every 3 x 3 window of the feature becomes a
distribution over its nine places, in column-major order: it is scaled to 0..1 by its
own minimum and maximum (all ones if constant) and divided by its sum. For the
distributions p of a source and q of the fused picture, with cumulative sums P and Q,

    c    Pearson's correlation of the nine pairs (p_i, q_i), 0 if p or q is uniform
    M    min(P_i, Q_j) if c >= 0, max(P_i + Q_j - 1, 0) if c < 0: the distribution that
         has these marginals and the largest, or the smallest, correlation (Frechet)
    k    c / (correlation of the places under M), 0 if one of them does not vary
    J    k dM + (1 - k) p q', the joint distribution (some entries can be negative)
    FMI  2 (H(p) + H(q) - H(J)) / (H(p) + H(q)), 1 where the windows are equal

FMI is averaged over the windows and both sources. H(J) is the real part of the complex
entropy, -J log2 |J|.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels
from refusion_jax.metrics.windows import Map, Pictures, sums_over_windows

PLACES = 9
Windows = Float[Array, "9 _height _width"]
# Few rows, because windows take nine times the memory of their rows.
STRIP_ROWS = 4


def fmi(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns FMI of the horizontal derivative ("gradient" of the authors' code).

    The derivative is central, and one-sided on the border.

    Args:
      source_a, source_b, fused: 0..255, at least 3 x 3.

    Returns:
      At most 1, apart from the effect of J's negative entries. Needs float64 because of
      constant windows.

    Note:
      Two constant windows of different levels count as independent here, with value 0.
      In MATLAB and Octave the correlation of their rounding errors (1e-17) is 1, so
      that flat backgrounds score higher there. The default feature of the authors'
      code, "edge", depends on MATLAB's thinning and is not offered; it is the
      "FMI_pixel" of toolkits, which `fmi_none` is not.

    Examples:
      >>> ramp = jnp.arange(64).reshape(8, 8)
      >>> f"{fmi(ramp, ramp, ramp):.3f}"
      '1.000'
    """

    def derivative(image: Map) -> Map:
        return jnp.asarray(jnp.gradient(image, axis=1))

    return _fmi(*map(derivative, as_levels(source_a, source_b, fused, smallest_side=3)))


def fmi_none(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns FMI of the grey levels themselves ("none").

    Args:
      source_a, source_b, fused: 0..255, at least 3 x 3.

    Returns:
      As for `fmi`.
    """
    return _fmi(*as_levels(source_a, source_b, fused, smallest_side=3))


def fmi_dct(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns FMI of the orthonormal DCT-II of the whole picture ("dct").

    Args:
      source_a, source_b, fused: 0..255, at least 3 x 3.

    Returns:
      As for `fmi`.
    """
    images = as_levels(source_a, source_b, fused, smallest_side=3)
    rows, columns = (_cosines(side).astype(images[0].dtype) for side in images[0].shape)
    return _fmi(*(rows @ image @ columns.T for image in images))


def _cosines(side: int) -> np.ndarray:
    frequency, position = np.ogrid[:side, :side]
    matrix = np.cos(np.pi * frequency * (2 * position + 1) / (2 * side))
    matrix[0] /= np.sqrt(2)
    return matrix * np.sqrt(2 / side)


def _fmi(feature_a: Map, feature_b: Map, feature_fused: Map) -> Scalar:
    def maps(features: Pictures) -> tuple[Map]:
        of_a, of_b, of_fused = map(_windows, features)
        # A loop over the sources, because it halves the size of the program.
        both = jax.lax.map(lambda x: _information(x, of_fused), jnp.stack([of_a, of_b]))
        return (both.mean(axis=0),)

    features = jnp.stack([feature_a, feature_b, feature_fused])
    height, width = (side - 2 for side in feature_fused.shape)
    total = sums_over_windows(maps, features, 3, rows=STRIP_ROWS)[0]
    return total / (height * width)


def _windows(feature: Map) -> Windows:
    """Returns all 3 x 3 windows, with their places in column-major order."""
    height, width = (side - 2 for side in feature.shape)
    return jnp.stack(
        [feature[i : i + height, j : j + width] for j in range(3) for i in range(3)]
    )


def _distribution(windows: Windows) -> tuple[Windows, Bool[Array, "height width"]]:
    low, high = windows.min(axis=0), windows.max(axis=0)
    is_constant = low == high
    scaled = (windows - low[None]) / jnp.where(is_constant, 1, high - low)[None]
    scaled = jnp.where(is_constant[None], 1, scaled)
    return scaled / scaled.sum(axis=0)[None], is_constant


def _entropy_term(mass: Array) -> Array:
    size = jnp.abs(mass)
    return -mass * jnp.log2(jnp.where(size > 0, size, 1))


def _information(source: Windows, fused: Windows) -> Map:
    """Returns the normalised mutual information of every window."""
    (p, p_uniform), (q, q_uniform) = _distribution(source), _distribution(fused)
    cumulative_p, cumulative_q = jnp.cumsum(p, axis=0), jnp.cumsum(q, axis=0)
    correlation = _correlation(p, q, p_uniform | q_uniform)

    def bound(cumulative: Map) -> list[Map]:
        """Returns the row of M where P is `cumulative`."""
        return [
            jnp.where(
                correlation >= 0,
                jnp.minimum(cumulative, other),
                jnp.maximum(cumulative + other - 1, 0),
            )
            for other in cumulative_q
        ]

    def add_covariance(total: Map, cumulative: Map) -> tuple[Map, None]:
        # By Hoeffding's identity the covariance is the sum of M - P Q over all places.
        terms = [
            upper - cumulative * other
            for upper, other in zip(bound(cumulative), cumulative_q, strict=True)
        ]
        return total + reduce(jnp.add, terms), None

    zero = jnp.zeros_like(correlation)
    covariance, _ = jax.lax.scan(add_covariance, zero, cumulative_p)
    spread = jnp.sqrt(_place_variance(p) * _place_variance(q))
    varies = (spread > 0) & (covariance != 0)
    mix = jnp.where(varies, correlation * spread / jnp.where(varies, covariance, 1), 0)

    def add_entropy(total: Map, row: tuple[Map, Map, Map]) -> tuple[Map, None]:
        p_i, below, above = row
        # The mass of M: its differences along the rows, then along the columns.
        steps = [y - x for x, y in zip(bound(below), bound(above), strict=True)]
        mass = [steps[0], *(steps[j] - steps[j - 1] for j in range(1, PLACES))]
        terms = [
            _entropy_term(mix * m + (1 - mix) * p_i * q_j)
            for m, q_j in zip(mass, q, strict=True)
        ]
        return total + reduce(jnp.add, terms), None

    below = jnp.concatenate([zero[None], cumulative_p[:-1]])
    joint, _ = jax.lax.scan(add_entropy, zero, (p, below, cumulative_p))
    marginal = _entropy_term(p).sum(axis=0) + _entropy_term(q).sum(axis=0)
    shared = 2 * (marginal - joint) / jnp.where(marginal > 0, marginal, 1)
    return jnp.where((source == fused).all(axis=0), 1, shared)


def _correlation(
    p: Windows, q: Windows, is_uniform: Bool[Array, "height width"]
) -> Map:
    """Returns Pearson's correlation of the nine pairs; 0 where p or q does not vary."""
    p, q = p - 1 / PLACES, q - 1 / PLACES
    norm = jnp.sqrt((p**2).sum(axis=0) * (q**2).sum(axis=0))
    is_uniform = is_uniform | (norm == 0)
    return jnp.where(
        is_uniform, 0, (p * q).sum(axis=0) / jnp.where(is_uniform, 1, norm)
    )


def _place_variance(p: Windows) -> Map:
    places = jnp.arange(PLACES, dtype=p.dtype)[:, None, None]
    mean = (places * p).sum(axis=0)
    return ((places - mean[None]) ** 2 * p).sum(axis=0)
