"""From pictures to one picture: colour, network, range, rounding.

The authors' rule, for every task alike: the luminances are fused, the result is
stretched from its own minimum and maximum to the full range (or treated by another rule
of `pictures.ranges`), and colour is added. Grey sources give a grey picture, one
coloured source lends its chroma, and the chroma of several is fused by Eq. 15. A
picture is grey if its three channels are equal everywhere.

A network fuses two sources. More of them (a focus stack, a bracket of exposures) form a
balanced tree: the first half and the second half are fused, then the two results. If
the network took the mean, 2, 4 or 8 sources would have equal weight, and in any other
number none would weigh more than twice as much as another; fused one after the other,
the last would weigh as much as all before it. Inside the tree the network sees its own
raw output; the range rule is applied once, at the end.
"""

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from refusion_jax.devices.compiling import long_compilations
from refusion_jax.fusing.registering import registered
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.methods.setting import Precision
from refusion_jax.pictures.alignment import common_size, fit
from refusion_jax.pictures.arrays import Source, as_photograph
from refusion_jax.pictures.color import fuse_chroma, is_grey, rgb_to_ycbcr, ycbcr_to_rgb
from refusion_jax.pictures.names import Alignment, Border, Movement, Range
from refusion_jax.pictures.photographs import (
    Photograph,
    from_unit,
    report_idle_levels,
    to_unit,
)
from refusion_jax.pictures.ranges import ENOUGH_RANGE, apply_range
from refusion_jax.pictures.registration import Motion
from refusion_jax.weights.pretrained import find_pretrained, suitable_range
from refusion_jax.weights.store import chosen_model

# No channel, one or three; of one size, but not of one number of channels.
Picture = Float[np.ndarray, "height width ..."]
DEFAULTS = Rules()
LOG = logging.getLogger(__name__)
_COMPILING = "Compiling for %d x %d, once for this range of sizes."


def fuse(
    source_a: Source,
    source_b: Source,
    *more: Source,
    weights: str | os.PathLike[str] | FusionModel | Mapping[str, Any] | None = None,
    task: str | None = None,
    output_range: Range | None = None,
    align: Alignment = "none",
    levels: str = "full",
    precision: Precision = "float32",
    motion: Movement = "auto",
    border: Border = "crop",
) -> np.ndarray:
    """Fuses two or more pictures of one scene.

    >>> class Mean(FusionModel):
    ...     def fuse(self, luminance_a, luminance_b, *, precision):
    ...         return (luminance_a + luminance_b) / 2
    >>> dark, light = np.array([[0, 51]], np.uint8), np.array([[102, 255]], np.uint8)
    >>> fuse(dark, light, weights=Mean(), output_range="none").tolist()
    [[51, 153]]
    >>> fuse(dark, light, weights=Mean()).tolist()  # stretched to black and white
    [[0, 255]]

    Args:
      source_a, source_b, *more: files, their bytes or file objects; images of Pillow's;
        or arrays of shape (height, width) or (height, width, 1 to 4): uint8, floats in
        [0, 1], or uint16. The last of two or four channels is transparency. In the
        order of training: infrared, visible; functional, MRI; near to far; under- to
        over-exposed.
      weights: a weight file or run folder as `weights.store.load_model` takes it, the
        model that it returns, or the parameters of ReFusion's F;
      task: or the name of shipped weights, see `refusion_jax.pretrained`. Exactly one
        of the two.
      output_range: "stretch", "none" or "source", see `pictures.ranges`. None: what the
        card of shipped weights tells, else "stretch".
      align: how sources of different sizes are aligned, see `pictures.alignment`;
        "none" refuses them, "register" finds how they lie on the first.
      levels: range rule of 16-bit grey, see `pictures.levels`.
      precision: of the network, "float32", "tf32" or "bfloat16", see
        `methods.precision`.
      motion, border: of align="register", see `registering.registered`.

    Returns:
      (height, width) if all sources are grey, else (height, width, 3). uint8, 0..255;
      uint16 if it is grey and any source has more than 8 bits, or if it is coloured
      and any coloured source has.

    Raises:
      FileNotFoundError: if a file is missing.
      ImportError: for align="register" without SimpleITK.
      ValueError: if a source, a rule or the weights cannot be used, sizes differ, or
        sources cannot be registered.

    Warns:
      PictureWarning: if something of a source is left out, or a rule has no effect.
    """
    # A folder that is called like the task does not stand for it.
    known = weights if task is None else find_pretrained(task).path
    chosen = output_range or suitable_range(known)
    rules = Rules(chosen, align, motion, border, levels, precision)
    photographs = [as_photograph(source) for source in (source_a, source_b, *more)]
    return fuse_photographs(chosen_model(weights, task), photographs, rules).pixels


def fuse_photographs(
    model: FusionModel, photographs: Sequence[Photograph], rules: Rules
) -> Photograph:
    """Fuses pictures along with their transparency, ICC profiles and EXIF.

    Args:
      model: what fuses.
      photographs: two or more of one scene.
      rules: how.

    Returns:
      The fused picture, with the transparency, profile and EXIF of its sources.

    Raises:
      ValueError: as `fuse` does.
    """
    report_idle_levels(photographs, rules.levels)
    photographs, rules, _ = on_each_other(photographs, rules)
    fused = _fuse(model, aligned_pictures(photographs, rules), rules)
    size = (fused.shape[0], fused.shape[1])
    sources = [
        x if x.alpha is None else x._replace(alpha=fit(x.alpha, size, rules.align))
        for x in photographs
    ]
    return from_unit(fused, sources)


def on_each_other(
    photographs: Sequence[Photograph], rules: Rules
) -> tuple[Sequence[Photograph], Rules, tuple[Motion, ...]]:
    """Registers the photographs if the rules ask for it.

    Args:
      photographs: of one scene.
      rules: how.

    Returns:
      The photographs, the rules for what is left to do, and the motions that were
      found.

    Raises:
      ImportError, ValueError: as `registering.registered` does.
    """
    if rules.align != "register":
        return photographs, rules, ()
    found = registered(photographs, rules)
    left = dataclasses.replace(rules, align="none", levels=found.levels)
    return found.photographs, left, found.motions


def aligned_pictures(
    photographs: Sequence[Photograph], rules: Rules
) -> list[Callable[[], Picture]]:
    """Returns functions that give each picture's pixels, all of one size and scale.

    Args:
      photographs: of one scene.
      rules: `align` and `levels` are read.

    Returns:
      One function per picture, so that only one large picture need be in memory at a
      time. It returns float32 in [0, 1]; height and width are the same for all.

    Raises:
      ValueError: if the sizes differ and may not.
    """
    shapes = [photograph.pixels.shape for photograph in photographs]
    names = [
        x.name or f"source {place}" for place, x in enumerate(photographs, start=1)
    ]
    size = common_size(shapes, rules.align, names)

    def picture(photograph: Photograph) -> Picture:
        return fit(to_unit(photograph, rules.levels), size, rules.align)

    return [partial(picture, photograph) for photograph in photographs]


def fuse_pictures(
    model: FusionModel, *pictures: Picture, rules: Rules = DEFAULTS
) -> Picture:
    """Fuses pixels: the part between reading the files and rounding the result.

    Args:
      model: what fuses.
      *pictures: two or more, float32 in [0, 1], of one height and width; three
        channels, or one, or none.
      rules: `output_range` and `precision` are read.

    Returns:
      float32 in [0, 1]: (height, width) if all are grey, else (height, width, 3).

    Raises:
      ValueError: if the sizes differ, or the model gives no finite result.
    """
    if len(pictures) < 2:
        raise ValueError(
            f"expected two sources or more, got {len(pictures)}; there is nothing to "
            "fuse."
        )
    names = [f"source {place}" for place in range(1, len(pictures) + 1)]
    common_size([x.shape for x in pictures], "none", names)
    return _fuse(model, [partial(np.asarray, picture) for picture in pictures], rules)


def _fuse(
    model: FusionModel, pictures: Sequence[Callable[[], Picture]], rules: Rules
) -> Picture:
    """Fuses pictures, calling each function when its pixels are needed.

    The functions of coloured pictures are called twice. Beside the network, whose
    features take 128 bytes per pixel, little should stay in memory: of the colour only
    whether there is any, of the luminance only its extremes.
    """
    luminances, extremes, coloured = [], [], []
    for make in pictures:
        luminance, chroma, is_coloured = _split(np.atleast_3d(np.float32(make())))
        luminances.append(luminance)
        # In numpy: jax would compile a program for each of these operations.
        levels = np.asarray(luminance)
        extremes.append(np.stack([levels.min(), levels.max()])[:, None, None])
        if is_coloured:
            coloured.append(make)
        del luminance, levels, chroma
    height, width = luminances[0].shape[:2]
    with long_compilations(partial(LOG.info, _COMPILING, width, height)):
        raw = _fuse_tree(partial(model.fuse, precision=rules.precision), luminances)
    if not np.isfinite(raw).all():
        raise ValueError("expected a finite fused picture, got NaN; check the weights.")
    mean = _mean_luminance(pictures) if _lack_range(extremes) else None
    chromas = [_split(np.atleast_3d(np.float32(make())))[1] for make in coloured]
    fused = np.asarray(_finish(raw, extremes, mean, chromas, rule=rules.output_range))
    return fused if chromas else fused[..., 0]


def _lack_range(extremes: Sequence[np.ndarray]) -> bool:
    """Returns whether no source has the range that `stretch` asks for."""
    return all(float(high - low) < ENOUGH_RANGE for low, high in np.squeeze(extremes))


def _mean_luminance(
    pictures: Sequence[Callable[[], Picture]],
) -> Float[Array, "height width 1"]:
    total = luminance_of(pictures[0]())
    for make in pictures[1:]:
        total = total + luminance_of(make())
    return total / len(pictures)


def _fuse_tree(
    fuse_two: Callable[[Array, Array], Array],
    luminances: list[Float[Array, "height width 1"]],
) -> Float[Array, "height width 1"]:
    """Fuses all luminances and empties the list, so that each is freed after use."""
    if len(luminances) == 1:
        return luminances.pop()
    middle = (len(luminances) + 1) // 2
    first, second = luminances[:middle], luminances[middle:]
    luminances.clear()
    return fuse_two(_fuse_tree(fuse_two, first), _fuse_tree(fuse_two, second))


def luminance_of(picture: Picture) -> Float[Array, "height width 1"]:
    """Returns the luminance of a picture, which is all that the network sees.

    Args:
      picture: float32 in [0, 1]; three channels, or one, or none.

    Returns:
      The Y of BT.601, in [0, 1].
    """
    return _split(np.atleast_3d(np.float32(picture)))[0]


# The two functions around the network are compiled as a whole: otherwise each of their
# operations would be compiled for each size of picture.
@jax.jit
def _split(
    pixels: Float[Array, "height width channels"],
) -> tuple[Array, Array, Array]:
    """Returns luminance, chroma, and whether the picture is coloured."""
    if pixels.shape[-1] == 1:
        return pixels, jnp.zeros((*pixels.shape[:2], 2)), jnp.asarray(False)
    ycbcr = rgb_to_ycbcr(pixels)
    return ycbcr[..., :1], ycbcr[..., 1:], ~is_grey(pixels)


@partial(jax.jit, static_argnames="rule")
def _finish(
    raw: Float[Array, "height width 1"],
    extremes: list[Float[Array, "2 1 1"]],
    mean: Float[Array, "height width 1"] | None,
    chromas: list[Array],
    *,
    rule: str,
) -> Float[Array, "height width channels"]:
    # The range rules need no more of sources that have a range than their extremes.
    luminance = apply_range(
        raw, extremes, rule=rule, mean=raw if mean is None else mean
    )
    if not chromas:
        return luminance
    chroma = chromas[0] if len(chromas) == 1 else fuse_chroma(*chromas)
    rgb = ycbcr_to_rgb(jnp.concatenate([luminance, chroma], axis=-1))
    return jnp.clip(rgb, 0, 1)
