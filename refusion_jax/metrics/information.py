"""EN, MI, NMI, Q_NCIE: counts of grey levels and of pairs of grey levels.

Levels that are no integers are rounded (half to even) and clipped to 0..255 before they
are counted. Several reference codes stretch each picture to 0..255 first: on 8-bit
levels a stretch is one-to-one, so that it changes none of these values, and it is left
out. Counts are exact in any precision; 0 log 0 = 0 throughout.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import (
    LARGEST,
    LevelCount,
    Levels,
    as_levels,
    ratio,
)


def joint_probabilities(x: Levels, y: Levels) -> Float[Array, "256 256"]:
    """How often level i of x meets level j of y.

    Args:
      x, y: 0..255, of one size.

    Returns:
      Frequencies that sum to 1; row i, column j.
    """
    x, y = as_levels(x, y)
    rows, columns = (
        jnp.clip(jnp.round(image), 0, LARGEST).astype(jnp.int32) for image in (x, y)
    )
    pairs = (rows * LevelCount + columns).ravel()
    counts = jnp.zeros(LevelCount**2, jnp.int32).at[pairs].add(1)
    return counts.reshape(LevelCount, LevelCount).astype(x.dtype) / x.size


def entropy_bits(probabilities: Float[Array, "..."]) -> Scalar:
    """Shannon's entropy of a table of probabilities.

    Args:
      probabilities: non-negative, summing to 1.

    Returns:
      Bits.
    """
    # log2(1) = 0 in place of log2(0): no NaN to mask, and none in a derivative.
    logarithms = jnp.log2(jnp.where(probabilities > 0, probabilities, 1))
    return -jnp.sum(probabilities * logarithms)


def _marginal_entropies(joint: Float[Array, "256 256"]) -> tuple[Scalar, Scalar]:
    return entropy_bits(joint.sum(axis=1)), entropy_bits(joint.sum(axis=0))


def _mutual_information(x: Levels, y: Levels) -> Scalar:
    joint = joint_probabilities(x, y)
    of_x, of_y = _marginal_entropies(joint)
    return of_x + of_y - entropy_bits(joint)


def en(fused: Levels) -> Scalar:
    """EN, the entropy (Roberts, van Aardt & Ahmed 2008).

    EN = H(F) = -sum_i p_i log2 p_i over 256 bins of width 1.

    Args:
      fused: 0..255.

    Returns:
      Bits, in [0, 8]; 0 of a constant picture.

    Note:
      IVIF_ZOO adds 1e-7 inside the logarithm, a difference of about 1e-4.
    """
    return entropy_bits(joint_probabilities(fused, fused).diagonal())


def mi(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """MI, the mutual information (Qu, Zhang & Yan 2002), in bits.

    MI = I(A; F) + I(B; F), I(X; F) = H(X) + H(F) - H(X, F), sum over the sources.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Bits, in [0, 16].

    Note:
      CDDFuse's evaluator and VIFB give nats: `mi_nats`. Tang's toolkit counts levels
      254 and 255 as one in the joint histogram only, so its values are slightly larger.
    """
    return _mutual_information(source_a, fused) + _mutual_information(source_b, fused)


def mi_nats(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """`mi` in nats, as CDDFuse's evaluator and VIFB print it.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Nats, `mi` times ln 2.
    """
    return mi(source_a, source_b, fused) * jnp.log(2.0)


def nmi(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """NMI, the normalised mutual information (Hossny, Nahavandi & Creighton 2008).

    NMI = 2 [I(A; F) / (H(A) + H(F)) + I(B; F) / (H(B) + H(F))]

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [0, 2]; NaN where a source and F are both constant.

    Note:
      IVIF_ZOO's "NMI" is 2 (I(A; F) + I(B; F)) / (H(A) + H(B)): another quantity.
    """

    def normalised(source: Levels) -> Scalar:
        joint = joint_probabilities(source, fused)
        of_source, of_fused = _marginal_entropies(joint)
        marginal = of_source + of_fused
        return ratio(marginal - entropy_bits(joint), marginal)

    return 2 * (normalised(source_a) + normalised(source_b))


def qncie(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Q_NCIE, nonlinear correlation information entropy (Wang, Shen & Jin 2008).

    NCC(X, Y) = I(X; Y) / 8, mutual information in logarithms to the base 256. R is the
    3 x 3 matrix of the NCC of A, B and F with a unit diagonal, l_i its eigenvalues;
    Q_NCIE = 1 + sum_i (l_i / 3) log256(l_i / 3).

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      In [1 - log256(3), 1] = [0.802, 1]; 0.802 where nothing is shared.

    Note:
      IVIF_ZOO has Pearson's linear correlation in place of NCC: 0.89 to 0.98, which is
      not Q_NCIE.
    """
    bits = 8
    a_b, a_f, b_f = (
        _mutual_information(x, y) / bits
        for x, y in ((source_a, source_b), (source_a, fused), (source_b, fused))
    )
    one = jnp.ones_like(a_b)
    matrix = jnp.stack([one, a_b, a_f, a_b, one, b_f, a_f, b_f, one]).reshape(3, 3)
    # A matrix of NCCs need not be positive definite: rounding can give -1e-17.
    shares = jnp.maximum(jnp.linalg.eigvalsh(matrix), 0) / 3
    return 1 - entropy_bits(shares) / bits
