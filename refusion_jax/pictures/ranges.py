"""How the fused luminance becomes black and white: a rule that is named.

With f, F's output in (0, 1), and I_1, I_2, ... the luminances of the sources in [0, 1]:

- `stretch`: y = (f - min f) / (max f - min f), the authors' rule. Every picture reaches
  black and white, so a level says nothing about the same level of another picture.
- `none`: y = f.
- `source`: y = f, clipped to [min I, max I], the extremes of all sources together.
  Nothing becomes darker or brighter than the sources are.

For videos: under `none` and `source` a level of f gives the same level in every frame.
Under `stretch` a bright spot that comes into view darkens the rest.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.pictures.names import RANGES

Luminance = Float[Array, "*batch height width 1"]


def stretch(
    image: Float[Array, "*batch height width 1"],
) -> Float[Array, "*batch height width 1"]:
    """Maps each picture's own minimum to 0 and its maximum to 1.

    A constant picture has no range to stretch: it is returned as it is.

    Args:
      image: any finite values.

    Returns:
      Same shape, in [0, 1] unless the picture is constant.
    """
    low = image.min(axis=(-3, -2, -1), keepdims=True)
    extent = image.max(axis=(-3, -2, -1), keepdims=True) - low
    is_constant = extent == 0
    safe_extent = jnp.where(is_constant, 1, extent)
    return jnp.where(is_constant, image, (image - low) / safe_extent)


def check_range(rule: str) -> None:
    """Refuses what is no range rule.

    Args:
      rule: one of `RANGES`.

    Raises:
      ValueError: listing the rules.
    """
    if rule not in RANGES:
        raise ValueError(
            f"expected an output range of {', '.join(RANGES)}, got {rule!r}; choose "
            "one of these."
        )


def apply_range(
    fused: Luminance, sources: Sequence[Luminance], *, rule: str
) -> Luminance:
    """Maps F's output to the luminance of the result.

    Args:
      fused: F's output in (0, 1).
      sources: luminances in [0, 1] that it was fused from.
      rule: one of `RANGES`.

    Returns:
      Luminance in [0, 1].

    Raises:
      ValueError: if there is no such rule.
    """
    check_range(rule)
    if rule == "stretch":
        return stretch(fused)
    if rule == "none":
        return fused
    extremes = jnp.stack([jnp.stack([x.min(), x.max()]) for x in sources])
    return jnp.clip(fused, extremes[:, 0].min(), extremes[:, 1].max())
