"""Local averages of pictures and the moments that SSIM, VIF and Q_Y are made of."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Taps = Sequence[float]
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
    for axis in (1, 2):
        images = _filtered(images, taps, axis, stride)
    return images


def _filtered(images: Pictures, taps: Taps, axis: int, stride: int) -> Pictures:
    """Shifted multiply-adds: on CPUs several times faster than a convolution."""
    size = len(taps)
    length = images.shape[axis] - size + 1

    def shifted(offset: int) -> Array:
        return jax.lax.slice_in_dim(
            images, offset, offset + length, stride=stride, axis=axis
        )

    # Symmetric taps: half the products.
    terms = [taps[i] * (shifted(i) + shifted(size - 1 - i)) for i in range(size // 2)]
    if size % 2:
        terms.append(taps[size // 2] * shifted(size // 2))
    return jax.lax.optimization_barrier(reduce(jnp.add, terms))


def local_moments(
    images: Sequence[Array], pairs: Sequence[tuple[int, int]], taps: Taps
) -> Moments:
    """Means, variances and covariances by E[xy] - E[x] E[y].

    Args:
      images: height x width each.
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
