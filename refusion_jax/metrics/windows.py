"""Local averages of pictures and the moments that SSIM, VIF and Q_Y are made of."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Taps = Sequence[float]
STRIP_ROWS = 32
Map = Float[Array, "height width"]
Pictures = Float[Array, "pictures height width"]


class Moments(NamedTuple):
    """First and second moments under a sliding window.

    Attributes:
      means, variances: one map a picture; rounding can make a variance negative.
      covariances: one map a pair.
    """

    means: tuple[Map, ...]
    variances: tuple[Map, ...]
    covariances: tuple[Map, ...]


def gaussian_taps(size: int, sigma: float) -> tuple[float, ...]:
    """A Gaussian sampled at unit steps about its centre, summing to 1.

    Its outer product with itself is the square window of the reference codes.

    Args:
      size: number of taps.
      sigma: standard deviation in pixels.

    Returns:
      Weights, as numbers.
    """
    positions = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(positions**2) / (2 * sigma**2))
    return tuple((weights / weights.sum()).tolist())


def box_taps(size: int) -> tuple[float, ...]:
    """Equal weights, summing to 1.

    Args:
      size: number of taps.

    Returns:
      Weights, as numbers.
    """
    return (1 / size,) * size


def local_mean(images: Pictures, taps: Taps, stride: int = 1) -> Pictures:
    """Weighted average over the windows that lie inside the picture.

    Args:
      images: any values.
      taps: symmetric weights, the same for rows and columns.
      stride: distance of the windows, the first one in the upper left corner.

    Returns:
      Maps of floor((side - taps) / stride) + 1.
    """
    # Convolutions, one along each axis: what XLA cannot fuse it does not compute twice.
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
    """Means, variances and covariances by E[xy] - E[x] E[y].

    Args:
      images: any values.
      pairs: indices of the pictures whose covariance is wanted.
      taps: of the window.

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


def sums_over_windows(
    maps: Callable[[Pictures], Sequence[Map]],
    images: Pictures,
    size: int,
    rows: int = STRIP_ROWS,
) -> Float[Array, " maps"]:
    """Sums of maps over all windows, made strip by strip.

    What lies between the pictures and the sums then stays in cache; whole maps would
    cost more in fresh memory than in arithmetic.

    Args:
      maps: of pictures with as many rows as they come with, to maps with size - 1 rows
        less; of any number of columns.
      images: of at least `size` rows.
      size: rows of a window.
      rows: of a strip, counted in windows.

    Returns:
      One sum a map.
    """
    count = images.shape[1] - size + 1
    rows = min(rows, count)

    def add(total: Array, first: Array) -> tuple[Array, None]:
        # The last strip reaches back over windows that have been counted.
        start = jnp.minimum(first, count - rows)
        strip = jax.lax.dynamic_slice_in_dim(images, start, rows + size - 1, axis=1)
        is_new = (start + jnp.arange(rows) >= first).astype(images.dtype)
        # As products with 0 and 1: on CPUs faster than sums of masked maps.
        sums = jnp.stack([jnp.sum(is_new @ values) for values in maps(strip)])
        return total + sums, None

    number = len(jax.eval_shape(maps, images))
    zeros = jnp.zeros(number, images.dtype)
    return jax.lax.scan(add, zeros, jnp.arange(0, count, rows))[0]
