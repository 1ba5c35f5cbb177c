"""The Sobel gradient."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def sobel_gradient(
    image: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Returns the edge strength of an image, |G_x| + |G_y|, channel by channel.

    G_x is the correlation with [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], G_y with its
    transpose, both unscaled. The border is padded with zeros, as in the authors' code,
    so the outermost pixels show an edge unless they are black.

    >>> ramp = jnp.tile(jnp.arange(5) / 8, (5, 1))[None, :, :, None]
    >>> print(sobel_gradient(ramp)[0, 2, 1:4, 0])  # 8 times the slope of 1/8
    [1. 1. 1.]

    Args:
      image: in [0, 1].

    Returns:
      Same shape, in [0, 6] (|G_x| and |G_y| reach 4 alone but never together).
    """
    height, width = image.shape[1:3]
    padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def shifted(row: int, column: int) -> Array:
        return padded[:, row : row + height, column : column + width, :]

    diagonal = shifted(2, 2) - shifted(0, 0)
    antidiagonal = shifted(0, 2) - shifted(2, 0)
    across = shifted(1, 2) - shifted(1, 0)
    down = shifted(2, 1) - shifted(0, 1)
    sobel_x = diagonal + antidiagonal + 2 * across
    sobel_y = diagonal - antidiagonal + 2 * down
    return jnp.abs(sobel_x) + jnp.abs(sobel_y)
