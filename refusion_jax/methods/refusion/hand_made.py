"""Hand-made weights in P's place: the baseline that a learned loss has to beat.

With a cue c of each source (its luminance, or how much detail is around a pixel),

    w_a = sigmoid(gain (c(I_a) - c(I_b))),    w_b = 1 - w_a,

and v_a, v_b likewise from a cue of edges. A large gain is a hard choice of the larger
cue, gain 0 is 1/2 everywhere.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.sobel import sobel_gradient

BLUR = 3.0  # pixels, standard deviation of the window in which detail is compared
SMALLEST_DETAIL = 1e-2  # below it, two sources count as equally smooth


class Rule(NamedTuple):
    """How weights are made by hand.

    Attributes:
      intensity: cue of w, of both sources: (batch, height, width, 1) each.
      intensity_gain: of w.
      gradient: cue of v.
      gradient_gain: of v.
    """

    intensity: Callable[[Image], Image]
    intensity_gain: float
    gradient: Callable[[Image], Image]
    gradient_gain: float


def luminance(image: Image) -> Image:
    """Returns the picture: of two sources the brighter one is preferred."""
    return image


def edges(image: Image) -> Image:
    """Returns the Sobel gradient; the picture is continued beyond its border.

    Args:
      image: in [0, 1].

    Returns:
      |G_x| + |G_y|, in [0, 6].
    """
    padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return sobel_gradient(padded)[:, 1:-1, 1:-1]


def log_detail(image: Image) -> Image:
    """Returns the logarithm of the Sobel gradient around each pixel.

    The difference of two logarithms is that of a ratio: what counts is how many times
    sharper a source is, in dark and in bright places alike.

    Args:
      image: in [0, 1].

    Returns:
      log(blurred gradient + SMALLEST_DETAIL).
    """
    return jnp.log(_blurred(edges(image)) + SMALLEST_DETAIL)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        # The brighter source and the stronger edge: infrared and visible, medical.
        "brighter": Rule(luminance, 20.0, edges, 10.0),
        # The source with more detail around the pixel: focus.
        "sharper": Rule(log_detail, 10.0, log_detail, 10.0),
        # Nearly the mean of the sources, with the stronger edge: exposure.
        "even": Rule(luminance, 0.7, edges, 10.0),
    }
)


def weigh(
    params: Params, source_a: Image, source_b: Image, *, rule: Rule
) -> WeightMaps:
    """Proposes weights by a rule; has the signature of P.

    Args:
      params: not used.
      source_a, source_b: luminance in [0, 1].
      rule: one of `RULES`.

    Returns:
      Weight maps; each pair sums to one at every pixel.
    """
    del params
    differences = (
        rule.intensity_gain * (rule.intensity(source_a) - rule.intensity(source_b)),
        rule.gradient_gain * (rule.gradient(source_a) - rule.gradient(source_b)),
    )
    return WeightMaps(*(_pair(difference) for difference in differences))


def _pair(logit: Array) -> Array:
    return jnp.concatenate([jax.nn.sigmoid(logit), jax.nn.sigmoid(-logit)], axis=-1)


def _blurred(image: Image) -> Image:
    """Convolves with a Gaussian, row by row and column by column."""
    radius = int(3 * BLUR)
    taps = jnp.exp(-0.5 * jnp.square(jnp.arange(-radius, radius + 1) / BLUR))
    taps = (taps / taps.sum()).astype(image.dtype)
    for axis in (1, 2):
        width = [(0, 0)] * 4
        width[axis] = (radius, radius)
        padded = jnp.pad(image, width, mode="edge")
        size = image.shape[axis]
        shifted = [
            jax.lax.slice_in_dim(padded, i, i + size, axis=axis)
            for i in range(2 * radius + 1)
        ]
        image = jnp.tensordot(taps, jnp.stack(shifted), axes=1)
    return image
