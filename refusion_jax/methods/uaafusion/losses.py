"""The losses of UAAFusion as pure functions of arrays.

i and v are source a and source b, f the fused picture, y the labels; "grad" is the
Sobel gradient of `methods.sobel.sobel_gradient`. All pictures are luminance in [0, 1].

    L_i = mean (w_i (i - f))^2       L_v = mean (w_v (v - f))^2
    L_g = mean | grad f - max(grad i, grad v) |
    L_s = [CE(S(f), y) + CE(S(i), y) + CE(S(v), y)] / 3
    L   = L_i + L_v + gradient_weight L_g + segmentation_weight L_s
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from refusion_jax.array_types import UNLABELLED, Image, PairMap, Scalar
from refusion_jax.methods.sobel import sobel_gradient
from refusion_jax.methods.uaafusion.nets.segmentation import Logits

CLASS_WEIGHTS = ("equal", "root")
Labels = Int[Array, "batch height width"]


class Fidelity(NamedTuple):
    """How far the fused picture is from the sources.

    Attributes:
      intensity_a, intensity_b: L_i and L_v, in squared luminance.
      gradient: L_g, in luminance.
    """

    intensity_a: Scalar
    intensity_b: Scalar
    gradient: Scalar


def fidelity(
    fused: Image, source_a: Image, source_b: Image, weights: PairMap
) -> Fidelity:
    """Returns L_i, L_v and L_g; the weights end up squared, as in the released code.

    >>> black, white = jnp.zeros((1, 8, 8, 1)), jnp.ones((1, 8, 8, 1))
    >>> half = jnp.full((1, 8, 8, 2), 0.5)
    >>> [float(x) for x in fidelity(white, black, white, half)]
    [0.25, 0.0, 0.0]

    Args:
      fused, source_a, source_b: luminance in [0, 1].
      weights: w_i and w_v.
    """
    weight_a, weight_b = weights[..., :1], weights[..., 1:]
    edges = jnp.maximum(sobel_gradient(source_a), sobel_gradient(source_b))
    return Fidelity(
        jnp.square(weight_a * (source_a - fused)).mean(),
        jnp.square(weight_b * (source_b - fused)).mean(),
        jnp.abs(sobel_gradient(fused) - edges).mean(),
    )


def cross_entropy(
    scores: Logits, labels: Labels, *, class_weights: str = "equal"
) -> Scalar:
    """Returns the mean cross-entropy of the labelled pixels, in nats.

    >>> scores = jnp.zeros((1, 1, 3, 4))
    >>> labels = jnp.array([[[0, 1, 3]]])
    >>> float(cross_entropy(scores, labels)), float(jnp.log(4))
    (1.3862943649291992, 1.3862943649291992)
    >>> float(cross_entropy(scores, jnp.zeros((1, 1, 3), int)))
    0.0

    Args:
      scores: what the softmax is taken of: logits, or in the released code their
        sigmoids, which confines the loss to [1.82, 3.67] with 15 classes.
      labels: the class of each pixel; 0 is unlabelled and does not count.
      class_weights: "equal", or "root" of the inverse share of a class in the batch, so
        that rare classes are not drowned.

    Returns:
      The loss; 0 if no pixel is labelled, where the released code has 0 / 0.

    Raises:
      ValueError: for other class_weights.
    """
    logs = jax.nn.log_softmax(scores)
    losses = -jnp.take_along_axis(logs, labels[..., None], axis=-1)[..., 0]
    is_labelled = (labels != UNLABELLED).astype(scores.dtype)
    if class_weights == "root":
        regions = jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)
        counts = jnp.maximum(regions.sum(axis=(0, 1, 2)), 1)
        is_labelled = is_labelled * jnp.take(counts**-0.5, labels)
    elif class_weights != "equal":
        raise ValueError(
            f"expected class_weights to be one of {', '.join(CLASS_WEIGHTS)}, got "
            f"{class_weights!r}; choose one of these."
        )
    total = is_labelled.sum()
    # Guarded on both sides, lest the derivative of the unused branch be NaN.
    mean = (losses * is_labelled).sum() / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, mean, 0)


def intersections_and_unions(
    predicted: Labels, labels: Labels, classes: int
) -> tuple[Float[Array, " classes"], Float[Array, " classes"]]:
    """Returns the numbers of pixels of which IoU is the ratio, for each class.

    Args:
      predicted: the class that S says.
      labels: the true class; unlabelled pixels do not count.
      classes: number of classes.
    """
    counts = (labels != UNLABELLED)[..., None]
    said = jax.nn.one_hot(predicted, classes, dtype=bool) & counts
    true = jax.nn.one_hot(labels, classes, dtype=bool) & counts
    axes = (0, 1, 2)
    return (
        (said & true).sum(axis=axes).astype(jnp.float32),
        (said | true).sum(axis=axes).astype(jnp.float32),
    )


def mean_iou(predicted: Labels, labels: Labels, classes: int) -> Scalar:
    """Returns the mean IoU over the classes that are predicted or true, in [0, 1].

    Args:
      predicted, labels, classes: see `intersections_and_unions`.

    Returns:
      The mean; 0 if no pixel is labelled.
    """
    intersections, unions = intersections_and_unions(predicted, labels, classes)
    is_there = unions > 0
    ious = intersections / jnp.where(is_there, unions, 1)
    return ious.sum() / jnp.maximum(is_there.sum(), 1)


def best_class(scores: Logits) -> Labels:
    """Returns the labelled class of the highest score at each pixel.

    The unlabelled class has no part in it, because S never learns it.

    Args:
      scores: logits, or their sigmoids.
    """
    return scores[..., UNLABELLED + 1 :].argmax(axis=-1) + UNLABELLED + 1
