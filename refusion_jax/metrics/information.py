"""EN, MI, NMI, Q_NCIE: information in the counts of grey levels and their pairs.

Levels that are not integers are rounded (half to even) and clipped to 0..255 before
they are counted. Several reference codes stretch each picture to 0..255 first. That is
left out here, because a stretch of 8-bit levels is one-to-one and changes none of these
values. Counts are exact in any precision; 0 log 0 = 0 throughout.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import (
    LARGEST,
    LEVEL_COUNT,
    Levels,
    as_levels,
    ratio,
)


def joint_probabilities(x: Levels, y: Levels) -> Float[Array, "256 256"]:
    """Returns how often level i of x coincides with level j of y.

    Args:
      x, y: 0..255, of one size.

    Returns:
      Frequencies that sum to 1; i is the row, j the column.
    """
    x, y = as_levels(x, y)
    rows, columns = (
        jnp.clip(jnp.round(image), 0, LARGEST).astype(jnp.int32) for image in (x, y)
    )
    pairs = (rows * LEVEL_COUNT + columns).ravel()
    counts = jnp.zeros(LEVEL_COUNT**2, jnp.int32).at[pairs].add(1)
    return counts.reshape(LEVEL_COUNT, LEVEL_COUNT).astype(x.dtype) / x.size


def entropy_bits(probabilities: Float[Array, "..."]) -> Scalar:
    """Returns Shannon's entropy of a table of probabilities.

    Args:
      probabilities: non-negative, summing to 1.

    Returns:
      Bits.

    Examples:
      >>> print(entropy_bits(jnp.array([0.5, 0.25, 0.25, 0.0])))
      1.5
    """
    # log2(1) = 0 in place of log2(0), so that no NaN arises here or in a derivative.
    logarithms = jnp.log2(jnp.where(probabilities > 0, probabilities, 1))
    return -jnp.sum(probabilities * logarithms)


def _marginal_entropies(joint: Float[Array, "256 256"]) -> tuple[Scalar, Scalar]:
    return entropy_bits(joint.sum(axis=1)), entropy_bits(joint.sum(axis=0))


def _mutual_information(x: Levels, y: Levels) -> Scalar:
    joint = joint_probabilities(x, y)
    of_x, of_y = _marginal_entropies(joint)
    return of_x + of_y - entropy_bits(joint)


def en(fused: Levels) -> Scalar:
    """Returns EN, the entropy (Roberts, van Aardt & Ahmed 2008).

    EN = H(F) = -sum_i p_i log2 p_i over 256 bins of width 1.

    Args:
      fused: 0..255.

    Returns:
      Bits, in [0, 8]; 0 for a constant picture.

    Note:
      IVIF_ZOO adds 1e-7 inside the logarithm, a difference of about 1e-4.

    Examples:
      >>> print(en(jnp.array([[0, 0], [100, 255]])))
      1.5
    """
    return entropy_bits(joint_probabilities(fused, fused).diagonal())


def mi(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns MI, the mutual information (Qu, Zhang & Yan 2002), in bits.

    MI = I(A; F) + I(B; F), I(X; F) = H(X) + H(F) - H(X, F), summed over the sources.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Bits, in [0, 16].

    Note:
      CDDFuse's evaluator and VIFB print nats: `mi_nats`. Tang's toolkit counts levels
      254 and 255 as one in the joint histogram only, so its values are slightly larger.

    Examples:
      >>> infrared, visible = jnp.array([[0, 0], [9, 9]]), jnp.array([[0, 9], [0, 9]])
      >>> print(mi(infrared, visible, infrared))
      1.0
    """
    return _mutual_information(source_a, fused) + _mutual_information(source_b, fused)


def mi_nats(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns `mi` in nats, as CDDFuse's evaluator and VIFB print it.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Nats, `mi` times ln 2.
    """
    return mi(source_a, source_b, fused) * jnp.log(2.0)


def nmi(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns NMI, the normalised mutual information (Hossny et al. 2008).

    NMI = 2 [I(A; F) / (H(A) + H(F)) + I(B; F) / (H(B) + H(F))]
    (Hossny, Nahavandi & Creighton 2008).

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [0, 2]; NaN if a source and F are both constant.

    Note:
      IVIF_ZOO's "NMI" is 2 (I(A; F) + I(B; F)) / (H(A) + H(B)), another quantity.

    Examples:
      >>> infrared, visible = jnp.array([[0, 0], [9, 9]]), jnp.array([[0, 9], [0, 9]])
      >>> print(nmi(infrared, visible, infrared))
      1.0
    """

    def normalised(source: Levels) -> Scalar:
        joint = joint_probabilities(source, fused)
        of_source, of_fused = _marginal_entropies(joint)
        marginal = of_source + of_fused
        return ratio(marginal - entropy_bits(joint), marginal)

    return 2 * (normalised(source_a) + normalised(source_b))


def qncie(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_NCIE, nonlinear correlation information entropy (Wang et al. 2008).

    NCC(X, Y) = I(X; Y) / 8 is the mutual information in logarithms to the base 256. R
    is the 3 x 3 matrix of the NCC of A, B and F with a unit diagonal, and l_i are its
    eigenvalues; Q_NCIE = 1 + sum_i (l_i / 3) log256(l_i / 3) (Wang, Shen & Jin 2008).

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [1 - log256(3), 1] = [0.802, 1]; 0.802 if the pictures share no information.

    Note:
      IVIF_ZOO has Pearson's linear correlation in place of NCC. Its values, 0.89 to
      0.98, are not Q_NCIE.

    Examples:
      >>> infrared, black = jnp.array([[0, 0], [9, 9]]), jnp.zeros((2, 2))
      >>> f"{qncie(infrared, black, black):.3f}"
      '0.802'
    """
    bits = 8
    a_b, a_f, b_f = (
        _mutual_information(x, y) / bits
        for x, y in ((source_a, source_b), (source_a, fused), (source_b, fused))
    )
    one = jnp.ones_like(a_b)
    matrix = jnp.stack([one, a_b, a_f, a_b, one, b_f, a_f, b_f, one]).reshape(3, 3)
    # Clipped, because a matrix of NCCs need not be positive definite, and rounding can
    # give an eigenvalue of -1e-17.
    shares = jnp.maximum(jnp.linalg.eigvalsh(matrix), 0) / 3
    return 1 - entropy_bits(shares) / bits
