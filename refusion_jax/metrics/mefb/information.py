"""CE and TE: information, measured by Kullback and Leibler and by Tsallis."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.information import joint_probabilities
from refusion_jax.metrics.levels import (
    Levels,
    as_levels,
    mean_over_sources,
    stretched,
)

TSALLIS_ORDER = 1.85


def ce(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns CE, the cross entropy (Bulanon, Burks & Alchanatis 2009).

    CE = (D(A, F) + D(B, F)) / 2, D(X, F) = sum_i p_X(i) log2(p_X(i) / p_F(i)) over the
    levels that occur in both pictures.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Bits, lower is better; 0 if the counts of all three are equal. It can be negative,
      because levels that F lacks are left out.

    Note:
      MEFB and VIFB do the same. IVIF_ZOO adds constants to all counts.

    Examples:
      >>> halves, quarter = jnp.array([[0, 0, 9, 9]]), jnp.array([[0, 9, 9, 9]])
      >>> print(ce(halves, halves, halves), f"{ce(halves, halves, quarter):.4f}")
      0.0 0.2075
    """

    def divergence(source: Levels) -> Scalar:
        joint = joint_probabilities(source, fused)
        of_source, of_fused = joint.sum(axis=1), joint.sum(axis=0)
        is_common = (of_source > 0) & (of_fused > 0)
        # 1 / 1 in place of other quotients, so that no NaN arises in a derivative.
        quotients = jnp.where(is_common, of_source, 1) / jnp.where(
            is_common, of_fused, 1
        )
        return jnp.sum(of_source * jnp.log2(quotients))

    return mean_over_sources(divergence(source_a), divergence(source_b))


def te(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns TE, mutual information by Tsallis (Cvejic, Canagarajah & Bull 2006).

    TE = I(A, F) + I(B, F),
    I(X, F) = (1 - sum_ij p(i, j)^q / (p_X(i) p_F(j))^(q - 1)) / (1 - q), q = 1.85.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      At least 0, which means that F knows nothing of the sources; higher is better.
      With 256 equally frequent levels and F = A = B it is 259.9.

    Note:
      imageFusionMetrics and MEFB exchange the marginal distributions: `te_mefb`.

    Examples:
      >>> a, b = jnp.array([[0, 0], [9, 9]]), jnp.array([[0, 9], [0, 9]])
      >>> print(te(b, b, a), f"{te(a, b, a):.4f}")
      0.0 0.9441
    """
    return sum_of_tsallis(source_a, source_b, fused, is_exchanged=False)


def te_mefb(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns "TE" as imageFusionMetrics and MEFB compute it.

    The pictures are stretched to 0..255, and level i of X meets how often F has it, and
    level j of F how often X has it.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      Not bounded by a law; for comparison with published tables only. NaN if a picture
      is constant.
    """
    images = [stretched(x) for x in as_levels(source_a, source_b, fused)]
    is_defined = jnp.isfinite(sum(x[0, 0] for x in images))
    value = sum_of_tsallis(*map(jnp.nan_to_num, images), is_exchanged=True)
    return jnp.where(is_defined, value, jnp.nan)


def sum_of_tsallis(
    source_a: Levels, source_b: Levels, fused: Levels, *, is_exchanged: bool
) -> Scalar:
    """Returns the sum of Tsallis' information over the sources.

    Args:
      source_a, source_b, fused: 0..255.
      is_exchanged: whether each level meets the other picture's count of it.
    """
    return sum(
        (
            _information(joint_probabilities(source, fused), is_exchanged)
            for source in (source_a, source_b)
        ),
        start=jnp.zeros(()),
    )


def _information(joint: Float[Array, "256 256"], is_exchanged: bool) -> Scalar:
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    if is_exchanged:
        rows, columns = columns, rows
    products = rows[:, None] * columns[None]
    is_possible = products > 0
    terms = joint**TSALLIS_ORDER / jnp.where(is_possible, products, 1) ** (
        TSALLIS_ORDER - 1
    )
    return (jnp.sum(jnp.where(is_possible, terms, 0)) - 1) / (TSALLIS_ORDER - 1)
