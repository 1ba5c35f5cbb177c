"""Named rules that map the network's output to the luminance of the fused picture.

With f, F's output in (0, 1), and I_1, I_2, ... the luminances of the sources in [0, 1]:

- `stretch`: y = (f - min f) / (max f - min f), the authors' rule. Every picture reaches
  black and white, so levels of different pictures cannot be compared. Sources without a
  range of their own (the empty slices of a volume) have nothing to stretch: what F
  makes of them is the effect of its borders. With r, the largest range max I_i - min
  I_i of a source, and s = min(1, 8 r)^3, the result is s y + (1 - s) mean_i I_i: the
  rule as it stands from r = 1/8 on, the mean of the sources where each has one level.
- `none`: y = f.
- `source`: y = f, clipped to [min I, max I], the extremes of all sources together. The
  result is never darker or brighter than the sources.

In videos, `none` and `source` map a level of f to the same level in every frame. Under
`stretch` a bright spot that comes into view darkens everything else.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.pictures.color import Luminance
from refusion_jax.pictures.names import RANGES

# Of a source, from which on the result is stretched as it is. Measured with the shipped
# weights ivif and mif (experiments/low_contrast.py): flat sources give f a range
# of up to 0.2 at the borders (0.4 where they are black), about as much as dark sources
# of a range of 1/8 do. With half of that the stretched picture is as much border as
# content. The 2,147 pairs of the data sets have 0.4 or more, so theirs is the authors'
# rule to the bit.
ENOUGH_RANGE = 1 / 8


def stretch(image: Luminance) -> Luminance:
    """Maps the minimum of each picture to 0 and its maximum to 1.

    A constant picture has no range to stretch and is returned unchanged.

    Args:
      image: any finite values.

    Returns:
      An array of the same shape, in [0, 1] unless the picture is constant.

    Examples:
      >>> stretch(jnp.array([[[0.25], [0.5], [0.75]]])).squeeze().tolist()
      [0.0, 0.5, 1.0]
    """
    low = image.min(axis=(-3, -2, -1), keepdims=True)
    extent = image.max(axis=(-3, -2, -1), keepdims=True) - low
    is_constant = extent == 0
    safe_extent = jnp.where(is_constant, 1, extent)
    return jnp.where(is_constant, image, (image - low) / safe_extent)


def check_range(rule: str) -> None:
    """Raises unless `rule` is one of `RANGES`.

    Args:
      rule: the name of a range rule.

    Raises:
      ValueError: if there is no such rule, listing the rules.
    """
    if rule not in RANGES:
        raise ValueError(
            f"expected an output range of {', '.join(RANGES)}, got {rule!r}; choose "
            "one of these."
        )


def stretched_share(extremes: Float[Array, "sources 2"]) -> Float[Array, ""]:
    """Returns s, how much of the stretched picture sources of this range get.

    Args:
      extremes: minimum and maximum of each source's luminance.

    Returns:
      min(1, 8 r)^3 of the largest range r.

    Examples:
      >>> float(stretched_share(jnp.array([[0.5, 0.5], [0.25, 0.3125]])))
      0.125
    """
    largest = (extremes[:, 1] - extremes[:, 0]).max()
    return jnp.minimum(1, largest / ENOUGH_RANGE) ** 3


def apply_range(
    fused: Luminance,
    sources: Sequence[Float[Array, "... 1"]],
    *,
    rule: str,
    mean: Luminance | None = None,
) -> Luminance:
    """Maps F's output to the luminance of the result.

    Args:
      fused: F's output in (0, 1).
      sources: luminances of the sources in [0, 1]; if `mean` is given, only their
        extremes matter.
      rule: one of `RANGES`.
      mean: the mean of the sources; None computes it. It only matters to `stretch`, and
        only if no source has a range of 1/8.

    Returns:
      Luminance in [0, 1].

    Raises:
      ValueError: if there is no such rule.

    Examples:
      >>> fused = jnp.array([[[0.125], [0.5], [0.875]]])
      >>> sources = [jnp.full((1, 3, 1), 0.25), jnp.full((1, 3, 1), 0.75)]
      >>> apply_range(fused, sources, rule="source").squeeze().tolist()
      [0.25, 0.5, 0.75]
      >>> apply_range(fused, sources, rule="stretch").squeeze().tolist()
      [0.5, 0.5, 0.5]
    """
    check_range(rule)
    if rule == "none":
        return fused
    extremes = jnp.stack([jnp.stack([x.min(), x.max()]) for x in sources])
    if rule == "source":
        return jnp.clip(fused, extremes[:, 0].min(), extremes[:, 1].max())
    if mean is None:
        mean = sum(sources[1:], start=sources[0]) / len(sources)
    share, stretched = stretched_share(extremes), stretch(fused)
    # Chosen, because the sum would round pictures that get all of the stretched one.
    return jnp.where(share < 1, share * stretched + (1 - share) * mean, stretched)
