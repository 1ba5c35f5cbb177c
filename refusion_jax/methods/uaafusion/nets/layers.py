"""Layers of both networks as pure functions; pictures are NHWC, kernels HWIO."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from refusion_jax.array_types import Params
from refusion_jax.methods.uaafusion.nets.window import window_convolution

Features = Float[Array, "batch height width channels"]
NORM_EPSILON = 1e-5


class Moments(NamedTuple):
    """Statistics of one normalisation, a value per channel.

    Attributes:
      mean: of each channel.
      variance: of each channel; those of a batch divide by the count less one.
    """

    mean: Float[Array, " channels"]
    variance: Float[Array, " channels"]


def convolution(params: Params, x: Features, *, padding: str = "zeros") -> Features:
    """Applies a 3x3 convolution of stride 1 that keeps the size.

    Args:
      params: kernel (3, 3, in, out), and bias (out,).
      x: the features.
      padding: "zeros" or "reflect", which needs two rows and columns.

    Returns:
      The features, with `out` channels.
    """
    mode = {"zeros": "constant", "reflect": "reflect"}[padding]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode)
    y = window_convolution(x, params["kernel"])
    return y + per_channel(params["bias"])


def conv_unit(params: Params, x: Features) -> Features:
    """Applies two reflecting convolutions with a PReLU of one slope between them.

    Args:
      params: trees first and second, and the slope ().
      x: the features.
    """
    x = convolution(params["first"], x, padding="reflect")
    x = jnp.where(x >= 0, x, params["slope"] * x)
    return convolution(params["second"], x, padding="reflect")


def pointwise(kernel: Float[Array, "channels out"], x: Features) -> Features:
    """Applies a 1x1 convolution: a matrix product over channels."""
    return jnp.matmul(x, kernel)


# `depthwise` and `normalise` are what S repeats most: each is traced once for a shape.
@partial(jax.jit, static_argnames=("stride", "dilation"))
def depthwise(
    kernel: Float[Array, "3 3 out"], x: Features, *, stride: int = 1, dilation: int = 1
) -> Features:
    """Applies a 3x3 convolution to each channel; zeros around, as wide as dilation.

    It is a sum of nine shifted copies, because XLA's grouped convolutions, and their
    derivatives above all, are slow on CPUs. With a stride, PyTorch's padding is kept:
    one zero at both ends, where XLA's SAME has none at the start of an even size.

    Args:
      kernel: one window per channel.
      x: the features; one channel serves all windows.
      stride: of the result's pixels; size n becomes ceil(n / stride).
      dilation: distance of the window's entries.
    """
    height, width = x.shape[1:3]
    margin = (dilation, dilation)
    x = jnp.pad(x, ((0, 0), margin, margin, (0, 0)))
    total = jnp.zeros((), x.dtype)
    for row in range(3):
        for column in range(3):
            top, left = row * dilation, column * dilation
            rows = slice(top, top + height, stride)
            columns = slice(left, left + width, stride)
            total += x[:, rows, columns] * per_channel(kernel[row, column])
    return total


def per_channel(values: Float[Array, " channels"]) -> Features:
    """Returns values, one per channel, with the axes of features."""
    return values[None, None, None]


@jax.jit
def normalise(params: Params, moments: Moments, x: Features) -> Features:
    """Normalises channels by given moments, then scales and shifts them.

    Args:
      params: scale and bias, (channels,).
      moments: running ones, or those of the batch with its own, biased variance.
      x: the features.
    """
    gain = params["scale"] * lax.rsqrt(moments.variance + NORM_EPSILON)
    shift = params["bias"] - moments.mean * gain
    return x * per_channel(gain) + per_channel(shift)


def batch_moments(x: Features) -> tuple[Moments, Moments]:
    """Returns a batch's moments: to normalise by, and to keep.

    Both have the same mean. The variance to normalise by divides by the count of
    pixels; the one to keep, as in PyTorch, by one less.

    Args:
      x: the features.
    """
    count = math.prod(x.shape[:-1])
    mean = x.mean(axis=(0, 1, 2))
    variance = jnp.square(x - per_channel(mean)).mean(axis=(0, 1, 2))
    kept = variance * (count / max(count - 1, 1))
    return Moments(mean, variance), Moments(mean, kept)


def dropout(x: Features, rate: float, key: Array) -> Features:
    """Sets a share of the values to 0 and scales the others up.

    Args:
      x: the features.
      rate: the share, in [0, 1).
      key: random key.
    """
    is_kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(is_kept, x / (1 - rate), jnp.zeros((), x.dtype))


def resize(x: Features, height: int, width: int) -> Features:
    """Interpolates linearly between pixels, corners on corners ("align_corners").

    Args:
      x: the features.
      height, width: of the result.
    """
    rows = jnp.asarray(_interpolation(x.shape[1], height), x.dtype)
    columns = jnp.asarray(_interpolation(x.shape[2], width), x.dtype)
    x = jnp.einsum("Yy,byxc->bYxc", rows, x)
    return jnp.einsum("Xx,bYxc->bYXc", columns, x)


def resized_convolution(
    kernel: Float[Array, "3 3 channels out"], x: Features, height: int, width: int
) -> Features:
    """Returns the 3x3 convolution of `resize`, without ever computing that.

    Interpolation treats channels alike, hence channels are mixed first, where there are
    few pixels; then each of the nine results is interpolated to its own shifted place.

    Args:
      kernel: of the convolution, which pads by one zero.
      x: the features.
      height, width: to resize to before the convolution.
    """
    rows = jnp.asarray(_shifted_interpolation(x.shape[1], height), x.dtype)
    columns = jnp.asarray(_shifted_interpolation(x.shape[2], width), x.dtype)
    x = jnp.einsum("byxc,rsco->byrxso", x, kernel)
    x = jnp.einsum("sXx,byrxso->byrXo", columns, x)
    return jnp.einsum("rYy,byrXo->bYXo", rows, x)


def _interpolation(size: int, new_size: int) -> np.ndarray:
    """Returns the matrix that resamples one axis, new_size x size."""
    places = np.arange(new_size) * ((size - 1) / max(new_size - 1, 1))
    distances = np.abs(places[:, None] - np.arange(size))
    return np.maximum(1 - distances, 0)


def _shifted_interpolation(size: int, new_size: int) -> np.ndarray:
    """Returns `_interpolation` for each place of a window of 3, with zeros around."""
    padded = np.pad(_interpolation(size, new_size), ((1, 1), (0, 0)))
    return np.stack([padded[shift : shift + new_size] for shift in range(3)])


def uniform(key: Array, shape: tuple[int, ...], fan_in: int) -> Array:
    """Draws numbers as PyTorch does by default for convolutions: U(-1, 1)/sqrt(fan_in).

    Args:
      key: random key.
      shape: of the result.
      fan_in: number of inputs of each output.
    """
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def init_convolution(key: Array, channels: int, out: int, size: int = 3) -> Params:
    """Draws a convolution with bias as PyTorch does by default.

    Args:
      key: random key.
      channels, out: numbers of channels.
      size: of the window; a window of 1 makes a matrix.
    """
    kernel_key, bias_key = jax.random.split(key)
    fan_in = channels * size * size
    window = (size, size) if size > 1 else ()
    return {
        "kernel": uniform(kernel_key, (*window, channels, out), fan_in),
        "bias": uniform(bias_key, (out,), fan_in),
    }


def init_conv_unit(key: Array, channels: int, middle: int, out: int) -> Params:
    """Draws a `conv_unit`; the slope starts at PyTorch's 0.25.

    Args:
      key: random key.
      channels, middle, out: numbers of channels.
    """
    first_key, second_key = jax.random.split(key)
    return {
        "first": init_convolution(first_key, channels, middle),
        "slope": jnp.full((), 0.25, jnp.float32),
        "second": init_convolution(second_key, middle, out),
    }
