"""Q_AB/F and N_AB/F: the edges that fusion preserves, and those that it invents."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels, ratio, total
from refusion_jax.metrics.windows import Map

RIGHT_ANGLE = jnp.pi / 2
# N_AB/F gives pixels below this edge strength (Sobel / 8) the least weight.
NABF_THRESHOLD = 2.0
NABF_LEAST_WEIGHT = 0.001


class Edges(NamedTuple):
    """The strength and the direction of the edge at every pixel.

    Attributes:
      strength: length of the gradient.
      angle: in [-pi/2, pi/2].
    """

    strength: Map
    angle: Map


def sobel(image: Map, padding: str) -> tuple[Map, Map]:
    """Returns the rightward and upward derivatives; absolute taps sum to 8 in each.

    Args:
      image: any values.
      padding: what lies beyond the border, a mode of `jax.numpy.pad`.
    """
    height, width = image.shape
    padded = jnp.pad(image, 1, mode=padding)

    def shifted(row: int, column: int) -> Array:
        return padded[row : row + height, column : column + width]

    diagonal = shifted(2, 2) - shifted(0, 0)
    antidiagonal = shifted(0, 2) - shifted(2, 0)
    across = diagonal + antidiagonal + 2 * (shifted(1, 2) - shifted(1, 0))
    upward = antidiagonal - diagonal + 2 * (shifted(0, 1) - shifted(2, 1))
    return across, upward


def length_of(across: Map, upward: Map) -> Map:
    """Returns the length of each vector.

    Args:
      across, upward: components of vectors.
    """
    # Not `hypot`, because equally strong edges of integer levels must compare equal.
    return jnp.sqrt(across * across + upward * upward)


def _sigmoid(slope: float, centre: float, x: Map) -> Map:
    return 1 / (1 + jnp.exp(-slope * (x - centre)))


def _arctan(y: Map, x: Map, length: Map) -> Map:
    """Returns atan(y / x); pi/2 with the sign of y where x = 0, and 0 where both are 0.

    XLA:CPU calls the C library once per arctangent, whereas this is vectorised. The
    angle is halved three times, to at most pi/16, where the series converges quickly:
    the first omitted term is below 1e-17.

    Args:
      y, x: components of vectors.
      length: lengths of these vectors.

    Returns:
      In [-pi/2, pi/2].
    """
    tangent = jnp.where(x < 0, -y, y) / jnp.where(length == 0, 1, jnp.abs(x) + length)
    for _ in range(2):
        tangent = tangent / (1 + jnp.sqrt(1 + tangent * tangent))
    squared = tangent * tangent
    series = jnp.zeros_like(squared)
    for power in range(21, 0, -2):
        series = 1 / power - squared * series
    return 8 * tangent * series


def _qabf_edges(image: Map) -> Edges:
    across, upward = sobel(image, "constant")
    length = length_of(across, upward)
    angle = jnp.where(across == 0, RIGHT_ANGLE, _arctan(upward, across, length))
    return Edges(length, angle)


def qabf(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_AB/F, edge preservation (Xydeas & Petrovic 2000).

    The Sobel gradient, with zeros beyond the border, has length g and angle
    a = atan(s_y / s_x), pi/2 where s_x = 0. Per pixel and source X
      G = min(g_X, g_F) / max(g_X, g_F), but g_F where the two are equal,
      A = 1 - |a_X - a_F| / (pi/2), not wrapped,
      Q = 0.9994 / (1 + exp(-15 (G - 0.5))) * 0.9879 / (1 + exp(-22 (A - 0.8))).
    Q_AB/F = sum(g_A Q_AF + g_B Q_BF) / sum(g_A + g_B).

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [0, 1]; NaN if both sources are black (in any other picture the border is an
      edge). float32 is accurate to 1e-6.

    Note:
      CDDFuse's evaluator, Tang's toolkit, VIFB, MEFB and IVIF_ZOO use g_F where the two
      lengths are equal; the paper's value there is 1. `metricXydeas` of
      imageFusionMetrics ("Q_G") has other constants, wraps the angle and averages
      ratios, so its values differ.

    Examples:
      >>> edge = jnp.array([[0, 0, 255, 255]] * 4)
      >>> print(qabf(edge, edge, 0 * edge).round(3), qabf(edge, edge, edge) > 0.9)
      0.0 True
    """
    of_a, of_b, of_fused = map(_qabf_edges, as_levels(source_a, source_b, fused))

    def preservation(source: Edges) -> Map:
        low = jnp.minimum(source.strength, of_fused.strength)
        high = jnp.maximum(source.strength, of_fused.strength)
        likeness = jnp.where(
            low == high, of_fused.strength, low / jnp.where(high == 0, 1, high)
        )
        alignment = 1 - jnp.abs(source.angle - of_fused.angle) / RIGHT_ANGLE
        return (
            0.9994 * _sigmoid(15, 0.5, likeness) * 0.9879 * _sigmoid(22, 0.8, alignment)
        )

    kept = of_a.strength * preservation(of_a) + of_b.strength * preservation(of_b)
    return ratio(total(kept), total(of_a.strength + of_b.strength))


def _nabf_edges(image: Map) -> Edges:
    across, upward = (response / 8 for response in sobel(image, "reflect"))
    length = length_of(across, upward)
    return Edges(length, _arctan(across, upward, length))


def nabf(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns N_AB/F, fusion artefacts (Petrovic & Xydeas; Shreyamsha Kumar 2013).

    This is the modification of 2013. The Sobel gradient / 8, with the picture mirrored
    at its border without repeating the edge, has length g and angle
    a = atan(s_x / s_y), 0 where both are 0. Per pixel and source X
      G = min(g_X, g_F) / max(g_X, g_F), 0 where either is 0,
      D = | |a_X - a_F| - pi/2 | * 2 / pi,
      Q = sqrt(0.9999 / (1 + exp(-19 (G - 0.5))) * 0.9995 / (1 + exp(-22 (D - 0.5)))),
      w = g_X^1.5 where g_X >= 2, else 0.001.
    N_AB/F is the sum of (1 - Q_A) w_A + (1 - Q_B) w_B over the pixels where F's edge is
    stronger than both sources' edges, divided by the sum of w_A + w_B over all pixels.

    Args:
      source_a, source_b, fused: 0..255, at least 2 x 2.

    Returns:
      In [0, 1], lower is better. float64 recommended.

    Note:
      Tang's toolkit calls its own function with the arguments in the wrong order, so
      that A is taken for the fused picture: `nabf_tang_as_called`. IVIF_ZOO gives weak
      edges the weight 0.

    Examples:
      >>> edge = jnp.array([[0, 0, 255, 255]] * 4)
      >>> print(nabf(edge, edge, edge), nabf(0 * edge, 0 * edge, edge) > 0.1)
      0.0 True
    """
    of_a, of_b, of_fused = map(
        _nabf_edges, as_levels(source_a, source_b, fused, smallest_side=2)
    )

    def loss(source: Edges) -> Map:
        low = jnp.minimum(source.strength, of_fused.strength)
        high = jnp.maximum(source.strength, of_fused.strength)
        likeness = low / jnp.where(high == 0, 1, high)
        turn = jnp.abs(source.angle - of_fused.angle)
        alignment = jnp.abs(turn - RIGHT_ANGLE) / RIGHT_ANGLE
        return 1 - jnp.sqrt(
            0.9999 * _sigmoid(19, 0.5, likeness) * 0.9995 * _sigmoid(22, 0.5, alignment)
        )

    def weight(source: Edges) -> Map:
        is_strong = source.strength >= NABF_THRESHOLD
        power = source.strength * jnp.sqrt(source.strength)
        return jnp.where(is_strong, power, NABF_LEAST_WEIGHT)

    weight_a, weight_b = weight(of_a), weight(of_b)
    is_made_up = of_fused.strength > jnp.maximum(of_a.strength, of_b.strength)
    losses = loss(of_a) * weight_a + loss(of_b) * weight_b
    return total(jnp.where(is_made_up, losses, 0)) / total(weight_a + weight_b)


def nabf_tang_as_called(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns the "Nabf" of Tang's toolkit: `nabf` of B and F, with A as the fused one.

    Args:
      source_a, source_b, fused: 0..255, at least 2 x 2.

    Returns:
      In [0, 1]. Useful only for comparison with published tables.
    """
    return nabf(source_b, fused, source_a)
