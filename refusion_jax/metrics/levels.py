"""What all metrics take: grey pictures of 8-bit levels, as floating point."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

# Grey levels, 0..255; integer or floating point.
Levels = Num[Array, "height width"]
LevelCount = 256
LARGEST = 255


def as_levels(*images: Levels, smallest_side: int = 1) -> tuple[Array, ...]:
    """Pictures as floating point, so that no difference of unsigned levels wraps.

    Args:
      images: grey levels, all of one size.
      smallest_side: what the metric needs.

    Returns:
      The same values in the floating-point type of the first floating-point picture, or
      in the default one (float64 where it is enabled).

    Raises:
      ValueError: if the sizes differ or a side is too short.
    """
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(
            "expected pictures of one size, got "
            f"{' and '.join(map(str, sorted(shapes)))}; crop or resize them first."
        )
    (shape,) = shapes
    if min(shape) < smallest_side:
        raise ValueError(
            f"expected sides of {smallest_side} pixels or more, got {shape}; "
            "this metric has no value for smaller pictures."
        )
    floating = [x.dtype for x in images if jnp.issubdtype(x.dtype, jnp.floating)]
    dtype = floating[0] if floating else jax.dtypes.canonicalize_dtype(float)
    return tuple(jnp.asarray(image, dtype) for image in images)


def total(values: Float[Array, "height width"]) -> Float[Array, ""]:
    """Sum of a map.

    As a product with ones: XLA:CPU keeps the order of a float sum, so that neither the
    sum nor what it fuses into it is computed by vectors.

    Args:
      values: any.

    Returns:
      Their sum.
    """
    return jnp.sum(jnp.ones(values.shape[0], values.dtype) @ values)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Quotient, NaN where the denominator is 0.

    Args:
      numerator: any values.
      denominator: 0 where the quotient has no meaning.

    Returns:
      NaN instead of an infinity or of the quotient of two roundings.
    """
    return jnp.where(denominator == 0, jnp.nan, numerator / denominator)


def mean_over_sources(of_a: Array, of_b: Array) -> Float[Array, ""]:
    """Half the sum.

    Args:
      of_a, of_b: one value a source.

    Returns:
      Their mean.
    """
    return (of_a + of_b) / 2
