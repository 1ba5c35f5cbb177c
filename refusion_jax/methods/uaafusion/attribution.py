"""Attribution: how much each source, and each step of the fusion, helps S.

Two uses of S, both constants of the training:

Class-wise Integrated Gradients (Sundararajan et al., ICML 2017) from a black picture,
at the right ends of K_a intervals, for every class c with the region R_c of picture I:

    s_c(t) = mean over R_c of S_c(t I)
    a_c    = mean over t = 1/K_a .. 1 of  mean over q in R_c of  I_q ds_c(t)/d(t I)_q
    M      = sum over c of ReLU(a_c) 1[R_c]
    w_i    = (M_i + 1e-8) / (M_i + M_v + 2e-8)

The mean over q is 1/|R_c| times the derivative of s_c along I 1[R_c]: one derivative
forwards for each class, all classes, points and sources in one batch.

Pathway attribution, along the stages' outputs f^(0), f^(1) .. with the mask m:

    g(f) = d/df of the sum (or mean) of m * S(f)
    A_k  = mean over j = 1 .. k-1 of g(f^(j)) (f^(j) - f^(j-1))      A_1 = 0

S_c is the sigmoid of S's logits throughout.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from refusion_jax.array_types import UNLABELLED, Image, PairMap
from refusion_jax.methods.uaafusion.nets.fusion import Guide
from refusion_jax.methods.uaafusion.nets.segmentation import Logits, Segment

# A picture to logits, and anything to collect, such as the moments of the batch.
CollectingSegment = Callable[[Image], tuple[Logits, Any]]
Mask = Float[Array, "batch height width classes"]
WEIGHT_EPSILON, SCALE_EPSILON = 1e-8, 1e-12


class Attribution(NamedTuple):
    """The class-wise attribution of both sources.

    Attributes:
      weights: w_i and w_v along the last axis, in [0, 1] with sum 1.
      classes: a_c before the ReLU, (source, batch or 1, classes); 0 for an empty
        region.
      collected: what S collected, with leading axes of sources and points.
    """

    weights: PairMap
    classes: Float[Array, "2 groups classes"]
    collected: Any


def plain(segment: Segment) -> CollectingSegment:
    """Returns a segmentation network that collects nothing.

    Args:
      segment: a picture to logits.
    """
    return lambda image: (segment(image), ())


def mask_of_labels(labels: Int[Array, "batch height width"], classes: int) -> Mask:
    """Returns labels as a mask of zeros and ones per class.

    Args:
      labels: of each pixel, below `classes`.
      classes: number of classes, the unlabelled one included.
    """
    return jax.nn.one_hot(labels, classes, dtype=jnp.zeros(()).dtype)


def without_unlabelled(mask: Mask) -> Mask:
    """Returns a mask that gives the unlabelled class no pixel.

    S never learns that class: the released code still attributes to it.

    Args:
      mask: weights per class.
    """
    return mask.at[..., UNLABELLED].set(0)


def regions_of(mask: Mask) -> Mask:
    """Returns a mask that is 1 for each pixel's largest class, and 0 for the others.

    The first of equal classes counts; a pixel without any has none.

    Args:
      mask: weights per class, 0 or more.
    """
    best = jax.nn.one_hot(mask.argmax(axis=-1), mask.shape[-1], dtype=mask.dtype)
    return best * (mask.max(axis=-1, keepdims=True) > 0)


def attribute(
    segment: CollectingSegment,
    source_a: Image,
    source_b: Image,
    regions: Mask,
    *,
    points: int,
    is_joint: bool = False,
    at_once: int | None = None,
) -> Attribution:
    """Attributes the scores of all classes to both sources.

    Args:
      segment: S.
      source_a, source_b: luminance in [0, 1].
      regions: of each class, see `regions_of`.
      points: K_a.
      is_joint: whether regions, scores and attributions run over the whole batch, as in
        the released code, instead of each picture.
      at_once: number of the 2 K_a points in one pass of S, a divisor; None: all. Fewer
        take less memory.

    Returns:
      The weights, without a derivative.
    """
    sources = lax.stop_gradient(jnp.stack([source_a, source_b]))
    regions = lax.stop_gradient(regions)
    axes = (-4, -3, -2) if is_joint else (-3, -2)
    sizes = regions.sum(axis=axes, keepdims=True)

    def of_points(where: tuple[Array, Array]) -> tuple[Array, Any]:
        which, ts = where
        images = sources[which]
        logits, derivative, collected = jax.linearize(
            jax.vmap(segment), ts[:, None, None, None, None] * images, has_aux=True
        )
        probabilities = jax.nn.sigmoid(logits)
        slopes = probabilities * (1 - probabilities)

        def of_class(c: Array) -> Array:
            region, size = _only(regions, c)[None], _only(sizes, c)[None]

            def present() -> Array:
                change = _only(slopes, c) * _only(derivative(images * region), c)
                total = (region * change).sum(axis=axes, keepdims=True)
                return total / jnp.square(jnp.maximum(size, 1))

            # Most classes of a large set are absent: they cost nothing then.
            result = jax.eval_shape(present)
            absent = partial(jnp.zeros, result.shape, result.dtype)
            return lax.cond(size.sum() > 0, present, absent)[..., 0, 0, 0]

        return lax.map(of_class, jnp.arange(regions.shape[-1])), collected

    ts = jnp.arange(1, points + 1) / jnp.asarray(points, sources.dtype)
    where = jnp.repeat(jnp.arange(2), points), jnp.tile(ts, 2)
    if at_once is None:
        slopes, collected = of_points(where)
    else:
        chunks = jax.tree.map(lambda x: x.reshape(-1, at_once), where)
        slopes, collected = lax.map(of_points, chunks)
        collected = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), collected)
        slopes = jnp.moveaxis(slopes, 0, 1).reshape(slopes.shape[1], 2 * points, -1)
    # from [class, source and point, group], a group being a picture or the batch
    by_source = slopes.reshape(len(slopes), 2, points, -1).mean(axis=2)
    classes = by_source.transpose(1, 2, 0)
    positive = jax.nn.relu(classes)[:, :, None, None, :]
    maps = (positive * regions[None]).sum(axis=-1)
    shares = (maps + WEIGHT_EPSILON) / (maps.sum(axis=0) + 2 * WEIGHT_EPSILON)[None]
    weights = jnp.moveaxis(shares, 0, -1)
    return Attribution(
        lax.stop_gradient(weights),
        lax.stop_gradient(classes),
        lax.stop_gradient(collected),
    )


def pathway(segment: CollectingSegment, mask: Mask, *, is_mean: bool = False) -> Guide:
    """Returns g, the gradient that the pathway attribution integrates.

    Args:
      segment: S.
      mask: weights per class, 0 or more.
      is_mean: whether g is the gradient of a mean over batch, pixels and classes, as in
        the released code, instead of the sum over each picture.

    Returns:
      A function of a picture: the gradient, and what S collects.
    """
    scale = 1 / mask.size if is_mean else 1.0

    def gradient(image: Image) -> tuple[Image, Any]:
        def score(x: Image) -> tuple[Array, Any]:
            logits, collected = segment(x)
            total = (mask * jax.nn.sigmoid(logits)).sum()
            return scale * total, collected

        slope, collected = jax.grad(score, has_aux=True)(image)
        return lax.stop_gradient(slope), lax.stop_gradient(collected)

    return gradient


def by_deviation(attention: Image) -> Image:
    """Divides the attention of each picture by its standard deviation.

    The sum over a picture saturates the sigmoid, the mean never leaves its middle.

    Args:
      attention: A_k.
    """
    return attention / (attention.std(axis=(1, 2, 3), keepdims=True) + SCALE_EPSILON)


def _only(x: Array, c: Array) -> Array:
    return lax.dynamic_index_in_dim(x, c, axis=-1)
