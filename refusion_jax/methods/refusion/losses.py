"""Equations 1 to 6 of the paper as pure functions of arrays.

I_a, I_b are the sources, I_f the fused image, I^_a, I^_b the reconstructions, and
"grad" the Sobel gradient of `methods.sobel.sobel_gradient`. All images are luminance in
[0, 1]; every loss is a mean over batch and pixels, in squared luminance.
"""

from typing import NamedTuple

import jax.numpy as jnp

from refusion_jax.array_types import Image, PairMap, Scalar
from refusion_jax.methods.sobel import sobel_gradient

REDUCTIONS = ("max", "sum")


class WeightMaps(NamedTuple):
    """P's proposal: the per-pixel weights of the fusion loss (Eqs. 2 and 3).

    Attributes:
      intensity: w_a, w_b in [0, 1]; they sum to 1 at every pixel.
      gradient: v_a, v_b in [0, 1]; they sum to 1 at every pixel.
    """

    intensity: PairMap
    gradient: PairMap


class Loss(NamedTuple):
    """A loss and its two terms.

    Attributes:
      total: intensity + alpha * gradient.
      intensity: the term on luminance.
      gradient: the term on Sobel gradients, not multiplied by alpha.
    """

    total: Scalar
    intensity: Scalar
    gradient: Scalar


class SquaredErrors(NamedTuple):
    """Unweighted squared distances between images and the two sources.

    Attributes:
      intensity: (I_k - J_k)^2, channel 0 for source a.
      gradient: (grad I_k - grad J_k)^2, channel 0 for source a.
    """

    intensity: PairMap
    gradient: PairMap


def squared_errors(
    image_a: Image, image_b: Image, source_a: Image, source_b: Image
) -> SquaredErrors:
    """Returns the per-pixel squared distances that Eqs. 2, 3, 5 and 6 share.

    Args:
      image_a, image_b: the images to compare with source a and b: the fused image twice
        (Eqs. 2, 3) or the two reconstructions (Eqs. 5, 6).
      source_a, source_b: the sources.

    Returns:
      Intensity and gradient maps, batch x height x width x 2.
    """
    images = jnp.concatenate([image_a, image_b], axis=-1)
    sources = jnp.concatenate([source_a, source_b], axis=-1)
    return SquaredErrors(
        intensity=jnp.square(sources - images),
        gradient=jnp.square(sobel_gradient(sources) - sobel_gradient(images)),
    )


def fusion_loss(
    fused: Image,
    source_a: Image,
    source_b: Image,
    weights: WeightMaps,
    *,
    alpha: float | Scalar = 1.0,
    weight_power: int = 1,
) -> Loss:
    """Returns the learnable fusion loss L_f of Eqs. 1 to 3.

    L_f = mean[w_a^p (I_a - I_f)^2 + w_b^p (I_b - I_f)^2]
        + alpha * mean[v_a^p (grad I_a - grad I_f)^2 + v_b^p (grad I_b - grad I_f)^2]

    >>> black, white = jnp.zeros((1, 8, 8, 1)), jnp.ones((1, 8, 8, 1))
    >>> loss = fusion_loss(white, black, white, equal_weights(white))
    >>> float(loss.intensity)  # 1/2 (0 - 1)^2 + 1/2 (1 - 1)^2
    0.5

    Args:
      fused, source_a, source_b: luminance in [0, 1].
      weights: w and v, from `propose` or `equal_weights`.
      alpha: alpha_1 of Eq. 1.
      weight_power: p; 1 as in the paper, 2 as in the authors' code, which moves the
        optimal weights from a hard choice of one source into the interior.

    Returns:
      The loss and its two terms.
    """
    errors = squared_errors(fused, fused, source_a, source_b)
    intensity_weights = weights.intensity**weight_power
    gradient_weights = weights.gradient**weight_power
    intensity = jnp.sum(intensity_weights * errors.intensity, axis=-1).mean()
    gradient = jnp.sum(gradient_weights * errors.gradient, axis=-1).mean()
    return Loss(intensity + alpha * gradient, intensity, gradient)


def reconstruction_loss(
    recon_a: Image,
    recon_b: Image,
    source_a: Image,
    source_b: Image,
    *,
    alpha: float | Scalar = 1.0,
    reduction: str = "max",
) -> Loss:
    """Returns the reconstruction loss L_r of Eqs. 4 to 6.

    L_r = mean[max_k (I_k - I^_k)^2] + alpha * mean[max_k (grad I_k - grad I^_k)^2]

    >>> black, white = jnp.zeros((1, 8, 8, 1)), jnp.ones((1, 8, 8, 1))
    >>> float(reconstruction_loss(black, white, black, white).total)
    0.0
    >>> float(reconstruction_loss(white, white, black, white).intensity)
    1.0

    Args:
      recon_a, recon_b: R's reconstructions, in [0, 1].
      source_a, source_b: the images they should equal, in [0, 1].
      alpha: alpha_2 of Eq. 4.
      reduction: "max" over the two sources (the paper) or "sum" (ablation IV).

    Returns:
      The loss and its two terms.

    Raises:
      ValueError: for any other reduction.
    """
    errors = squared_errors(recon_a, recon_b, source_a, source_b)
    if reduction == "max":
        intensity, gradient = (error.max(axis=-1).mean() for error in errors)
    elif reduction == "sum":
        intensity, gradient = (error.sum(axis=-1).mean() for error in errors)
    else:
        raise ValueError(
            f"expected a reduction among {', '.join(REDUCTIONS)}, got {reduction!r}; "
            "choose one of these."
        )
    return Loss(intensity + alpha * gradient, intensity, gradient)


def equal_weights(source: Image) -> WeightMaps:
    """Returns the weights of the fixed loss of ablation I: w = v = 1/2 everywhere.

    >>> maps = equal_weights(jnp.zeros((1, 2, 2, 1)))
    >>> print(maps.intensity[0, 0, 0], maps.gradient.shape)
    [0.5 0.5] (1, 2, 2, 2)

    Args:
      source: an image of the batch, for its shape and type.

    Returns:
      Weight maps that are 1/2 at every pixel.
    """
    half = jnp.full((*source.shape[:-1], 2), 0.5, source.dtype)
    return WeightMaps(intensity=half, gradient=half)
