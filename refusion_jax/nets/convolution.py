"""Convolutions of the three networks, channels first, without bias.

Feature maps are batch x channels x height x width: a 1x1 convolution is then one
matrix product on contiguous pixels. A network's public side stays NHWC.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Features = Float[Array, "batch channels height width"]


def uniform_fan_in(
    key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> Array:
    """PyTorch's default for convolutions: U(-1, 1) / sqrt(fan_in).

    Args:
      key: PRNG key.
      shape: kernel shape; all axes but the first make the fan-in.
      dtype: of the result.

    Returns:
      An array of that shape.
    """
    fan_in = 1
    for size in shape[1:]:
        fan_in *= size
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def to_features(image: Float[Array, "batch height width channels"]) -> Features:
    """NHWC to channels first; free for one channel."""
    return jnp.moveaxis(image, -1, 1)


def to_image(features: Features) -> Float[Array, "batch height width channels"]:
    """Channels first to NHWC; free for one channel."""
    return jnp.moveaxis(features, 1, -1)


def pointwise(features: Features, kernel: Float[Array, "out channels"]) -> Features:
    """1x1 convolution.

    Args:
      features: any values.
      kernel: out x in.

    Returns:
      Features with the kernel's number of output channels.
    """
    return jnp.einsum("oc,bchw->bohw", kernel, features)


def depthwise3x3(
    features: Features, kernel: Float[Array, "channels 3 3"]
) -> Features:
    """3x3 convolution of each channel with its own kernel, zero padding 1.

    Written as nine shifted multiply-adds: XLA is slow at grouped convolutions on CPUs.

    Args:
      features: any values.
      kernel: one 3x3 kernel a channel.

    Returns:
      Features of the same shape.
    """
    height, width = features.shape[2:]
    padded = jnp.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = jnp.zeros_like(features)
    for row in range(3):
        for column in range(3):
            tap = padded[:, :, row : row + height, column : column + width]
            total += tap * kernel[:, row, column][None, :, None, None]
    return total


def conv3x3(
    features: Features, kernel: Float[Array, "out channels 3 3"]
) -> Features:
    """Dense 3x3 convolution, stride 1, zero padding 1.

    Args:
      features: any values.
      kernel: out x in x 3 x 3.

    Returns:
      Features with the kernel's number of output channels.
    """
    return jax.lax.conv_general_dilated(
        features,
        kernel,
        window_strides=(1, 1),
        padding=((1, 1), (1, 1)),
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
