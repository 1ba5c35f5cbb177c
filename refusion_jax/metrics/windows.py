"""Local averages of pictures, and the local moments that SSIM, VIF and Q_Y use."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Taps = Sequence[float]
STRIP_ROWS = 32
# The underscore: windows that fit make smaller maps of the same kind.
Map = Float[Array, "_height _width"]
Pictures = Float[Array, "_pictures _height _width"]


class Moments(NamedTuple):
    """First and second moments under a sliding window.

    Attributes:
      means, variances: one map per picture; rounding can make a variance negative.
      covariances: one map per pair.
    """

    means: tuple[Map, ...]
    variances: tuple[Map, ...]
    covariances: tuple[Map, ...]


def gaussian_taps(size: int, sigma: float) -> tuple[float, ...]:
    """Returns a Gaussian sampled at unit steps around its centre, summing to 1.

    Its outer product with itself is the square window of the reference codes.

    Args:
      size: number of taps.
      sigma: standard deviation in pixels.

    Returns:
      Weights, as Python numbers.

    Examples:
      >>> [round(weight, 3) for weight in gaussian_taps(3, 1.0)]
      [0.274, 0.452, 0.274]
    """
    positions = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(positions**2) / (2 * sigma**2))
    return tuple((weights / weights.sum()).tolist())


def box_taps(size: int) -> tuple[float, ...]:
    """Returns equal weights that sum to 1.

    Args:
      size: number of taps.

    Returns:
      Weights, as Python numbers.

    Examples:
      >>> box_taps(4)
      (0.25, 0.25, 0.25, 0.25)
    """
    return (1 / size,) * size


def local_mean(images: Pictures, taps: Taps, stride: int = 1) -> Pictures:
    """Returns the weighted average over the windows that lie inside the picture.

    Args:
      images: any values.
      taps: symmetric weights, the same for rows and columns.
      stride: distance between windows; the first is in the upper left corner.

    Returns:
      Maps with sides of floor((side - taps) / stride) + 1.

    Examples:
      >>> local_mean(jnp.array([[[0.0, 4.0], [4.0, 8.0]]]), box_taps(2)).item()
      4.0
    """
    # Convolutions, one along each axis, because XLA cannot fuse them into their users
    # and so does not compute them twice.
    kernel = jnp.asarray(taps, images.dtype)
    for shape, strides in (((-1, 1), (stride, 1)), ((1, -1), (1, stride))):
        images = jax.lax.conv_general_dilated(
            images[..., None],
            kernel.reshape(*shape, 1, 1),
            strides,
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )[..., 0]
    return images


def local_moments(
    images: Pictures, pairs: Sequence[tuple[int, int]], taps: Taps
) -> Moments:
    """Returns means, variances and covariances, the latter two by E[xy] - E[x] E[y].

    Args:
      images: any values.
      pairs: indices of the pictures whose covariance is wanted.
      taps: weights of the window.

    Returns:
      Maps over the windows that lie inside the picture.
    """
    count = len(images)
    products = [image * image for image in images]
    products += [images[i] * images[j] for i, j in pairs]
    blurred = local_mean(jnp.stack([*images, *products]), taps)
    means = tuple(blurred[:count])
    return Moments(
        means,
        tuple(blurred[count + i] - means[i] ** 2 for i in range(count)),
        tuple(
            blurred[2 * count + k] - means[i] * means[j]
            for k, (i, j) in enumerate(pairs)
        ),
    )


def exact_moments(
    images: Pictures, pairs: Sequence[tuple[int, int]], taps: Taps
) -> Moments:
    """Returns `local_moments` without the rounding errors of flat windows.

    In a window of one level E[x^2] - E[x]^2 leaves a rounding error, which a quotient
    with a tiny constant would show. Here such a window has neither variance nor
    covariance, and no variance is negative.

    Args:
      images, pairs, taps: as for `local_moments`.

    Returns:
      As `local_moments` does.
    """
    means, variances, covariances = local_moments(images, pairs, taps)
    is_flat = [_is_flat(image, len(taps)) for image in images]
    return Moments(
        means,
        tuple(
            jnp.where(flat, 0, jnp.maximum(variance, 0))
            for flat, variance in zip(is_flat, variances, strict=True)
        ),
        tuple(
            jnp.where(is_flat[i] | is_flat[j], 0, covariance)
            for (i, j), covariance in zip(pairs, covariances, strict=True)
        ),
    )


def _is_flat(image: Array, size: int) -> Bool[Array, "_height _width"]:
    return _extreme(image, size, jnp.maximum) == _extreme(image, size, jnp.minimum)


def _extreme(image: Array, size: int, choose: Callable[[Array, Array], Array]) -> Array:
    """Returns the largest or smallest level of each square window.

    The windows double in size until they are large enough, which takes few comparisons.
    """
    for axis in (0, 1):
        reached = 1
        while reached < size:
            offset = min(reached, size - reached)
            length = image.shape[axis] - offset
            image = choose(
                jax.lax.slice_in_dim(image, 0, length, axis=axis),
                jax.lax.slice_in_dim(image, offset, offset + length, axis=axis),
            )
            reached += offset
    return image


def sums_over_windows(
    maps: Callable[[Pictures], Sequence[Map]],
    images: Pictures,
    size: int,
    rows: int = STRIP_ROWS,
) -> Float[Array, " maps"]:
    """Returns the sums of maps over all windows, computed strip by strip.

    Intermediate results then stay in cache; for whole maps, allocating memory would
    cost more than the arithmetic.

    Args:
      maps: a function from pictures with any number of rows to maps with size - 1 fewer
        rows and any number of columns.
      images: pictures of at least `size` rows.
      size: rows of a window.
      rows: rows of a strip, counted in windows.

    Returns:
      One sum per map.

    Examples:
      >>> pictures = jnp.arange(12.0).reshape(1, 4, 3)
      >>> sums_over_windows(lambda strip: [strip[0]], pictures, size=1, rows=3).tolist()
      [66.0]
    """
    count = images.shape[1] - size + 1
    rows = min(rows, count)

    def add(total: Array, first: Array) -> tuple[Array, None]:
        # The last strip overlaps the one before; windows already counted get weight 0.
        start = jnp.minimum(first, count - rows)
        strip = jax.lax.dynamic_slice_in_dim(images, start, rows + size - 1, axis=1)
        is_new = (start + jnp.arange(rows) >= first).astype(images.dtype)
        # As products with 0 and 1, because on CPUs these are faster than masked sums.
        sums = jnp.stack([jnp.sum(is_new @ values) for values in maps(strip)])
        return total + sums, None

    number = len(jax.eval_shape(maps, images))
    zeros = jnp.zeros(number, images.dtype)
    return jax.lax.scan(add, zeros, jnp.arange(0, count, rows))[0]
