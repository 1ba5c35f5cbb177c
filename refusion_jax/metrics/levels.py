"""The input of all metrics: grey pictures of 8-bit levels, as floating point."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

# Grey levels, 0..255; integer or floating point.
Levels = Num[Array, "height width"]
LEVEL_COUNT = 256
LARGEST = 255


def as_levels(
    *images: Num[Array, "_height _width"], smallest_side: int = 1
) -> tuple[Array, ...]:
    """Converts pictures to floating point, where differences of levels cannot wrap.

    Args:
      images: grey levels, all of one size.
      smallest_side: smallest side in pixels for which the metric is defined.

    Returns:
      The same values in the floating-point type of the first floating-point picture, or
      in the default type if there is none (float64 where it is enabled).

    Raises:
      ValueError: if the sizes differ or a side is too short.

    Examples:
      >>> dark, bright = as_levels(jnp.array([[1]], "uint8"), jnp.array([[3]], "uint8"))
      >>> (dark - bright).item()
      -2.0
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
    """Returns the sum of a map, computed as a product with ones.

    XLA:CPU preserves the order of a floating-point sum, so that it can vectorise
    neither the sum nor the operations that it fuses into it.

    Args:
      values: any values.

    Examples:
      >>> total(jnp.array([[1.0, 2.0], [3.0, 4.0]])).item()
      10.0
    """
    return jnp.sum(jnp.ones(values.shape[0], values.dtype) @ values)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Returns a quotient that is NaN where the denominator is 0.

    Args:
      numerator: any values.
      denominator: 0 where the quotient has no meaning.

    Returns:
      The quotient, with NaN in place of infinities and of quotients of rounding errors.

    Examples:
      >>> ratio(jnp.array([1.0, 1.0]), jnp.array([4.0, 0.0])).tolist()
      [0.25, nan]
    """
    return jnp.where(denominator == 0, jnp.nan, numerator / denominator)


def mean_over_sources(of_a: Array, of_b: Array) -> Float[Array, ""]:
    """Returns the mean of the values of both sources.

    Args:
      of_a, of_b: one value per source.
    """
    return (of_a + of_b) / 2


def quotient(image: Array, divisor: float | Array) -> Array:
    """Returns a picture divided by one number, rounded as a division.

    Args:
      image: any values.
      divisor: not 0.
    """
    # The barrier, because XLA replaces division by a common divisor with multiplication
    # by its reciprocal, which rounds ties of the stretch the other way.
    divisors = jnp.broadcast_to(jnp.asarray(divisor, image.dtype), image.shape)
    return image / jax.lax.optimization_barrier(divisors)


def stretched(image: Float[Array, "height width"]) -> Float[Array, "height width"]:
    """Returns round(255 (x - min) / (max - min)), halves upward.

    Args:
      image: any values; NaN everywhere if it is constant.

    Examples:
      >>> stretched(jnp.array([[1.0, 3.0, 5.0]])).tolist()
      [[0.0, 128.0, 255.0]]
    """
    low = image.min()
    return jnp.floor(quotient(image - low, image.max() - low) * LARGEST + 0.5)
