"""Brings the sources of a fusion onto the first one, and says what it found."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refusion_jax.fusing.choice import look_of, view_of
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.arrays import Source, as_photograph
from refusion_jax.pictures.codecs import to_luminance
from refusion_jax.pictures.levels import unit_of
from refusion_jax.pictures.names import Movement
from refusion_jax.pictures.notes import note
from refusion_jax.pictures.photographs import Photograph, to_unit
from refusion_jax.pictures.registration import (
    Motion,
    find_motion,
    largest_rectangle,
    moved,
)

# What to compare where sources look alike in this way; of all others, the edges.
_BY_LOOK = {
    "sharpness": "brightness",
    "brightness": "brightness",
    "black surround": "levels",
}


class Registered(NamedTuple):
    """Sources on the first one.

    Attributes:
      photographs: of one size.
      motions: how each further source lay on the first.
      levels: the range rule by which they are to be read.
    """

    photographs: list[Photograph]
    motions: tuple[Motion, ...]
    levels: str


def registered(photographs: Sequence[Photograph], rules: Rules) -> Registered:
    """Brings all sources onto the first.

    What "auto" takes for the motion depends on the looks: rigid for pictures on black,
    where the scanner's scale is known, else a similarity, since focus breathes and two
    cameras differ in focal length.

    Args:
      photographs: two or more, of any sizes.
      rules: `levels`, `motion` and `border` are read.

    Returns:
      The sources, of one size, and their motions. With the border "crop" the size is
      that of the largest area that all of them show; with "fill" that of the first,
      which stands in where another source shows nothing.

    Raises:
      ImportError: without SimpleITK.
      ValueError: if a motion is not credible, see `pictures.registration`.

    Warns:
      PictureWarning: with the motion of each source.
    """
    named = [
        x if x.name else x._replace(name=f"source {place}")
        for place, x in enumerate(photographs, start=1)
    ]
    if rules.border == "fill":
        named, levels = _read_by(rules.levels, named)
        rules = dataclasses.replace(rules, levels=levels)
    first = named[0]
    made, known, motions = [first], np.ones(first.pixels.shape[:2], bool), []
    for photograph in named[1:]:
        motion = motion_of(first, photograph, rules)
        note(f"{photograph.name} lies on {first.name} {motion}.")
        motions.append(motion)
        other, is_known = _moved(photograph, motion)
        if rules.border == "fill":
            other = _filled(other, is_known, _luminance(first, rules))
        made.append(other)
        known &= is_known
    if rules.border != "fill":
        made = [_cropped(x, known) for x in made]
    return Registered(made, tuple(motions), rules.levels)


def register(
    moving: Source,
    fixed: Source,
    *,
    motion: Movement = "auto",
    levels: str = "full",
) -> Motion:
    """Finds how a picture lies on another one of the same scene.

    Args:
      moving, fixed: as for `inference.fuse`, of any two sizes; kinds of pictures too.
      motion: "translation", "rigid", "similarity", "affine"; "auto" as `registered`
        does.
      levels: range rule of 16-bit grey, see `pictures.levels`.

    Returns:
      The motion: `matrix` tells it, `apply` brings a picture onto the fixed one.

    Raises:
      FileNotFoundError, ValueError: if a source cannot be read, or no motion is
        credible.
      ImportError: without SimpleITK.
    """
    rules = Rules(align="register", motion=motion, levels=levels)
    return motion_of(as_photograph(fixed), as_photograph(moving), rules)


def motion_of(first: Photograph, other: Photograph, rules: Rules) -> Motion:
    """Finds how a source lies on the first, by the rules and their looks.

    Args:
      first, other: of one scene.
      rules: `levels` and `motion` are read.

    Raises:
      ImportError, ValueError: as `registered` does.
    """
    luminances = [_luminance(x, rules) for x in (first, other)]
    views = [view_of(np.rint(x * 255).astype(np.uint8)) for x in luminances]
    look = look_of(views)
    by_look = "rigid" if look == "black surround" else "similarity"
    return find_motion(
        luminances[0],
        luminances[1],
        motion=by_look if rules.motion == "auto" else rules.motion,
        by=_BY_LOOK.get(look or "", "edges"),
        names=(first.name or "the first source", other.name or "the other"),
    )


def _luminance(photograph: Photograph, rules: Rules) -> np.ndarray:
    unit = to_unit(photograph, rules.levels)
    if unit.ndim == 2:
        return unit
    return to_luminance(np.rint(unit * 255).astype(np.uint8)) / np.float32(255)


def _moved(photograph: Photograph, motion: Motion) -> tuple[Photograph, np.ndarray]:
    pixels, is_known = moved(photograph.pixels, motion)
    alpha = photograph.alpha
    if alpha is not None:
        alpha, _ = moved(alpha, motion)
    return photograph._replace(pixels=pixels, alpha=alpha), is_known


def _read_by(
    levels: str, photographs: list[Photograph]
) -> tuple[list[Photograph], str]:
    """Reads deep grey by a range rule, which must not see what is filled in later.

    Returns:
      The photographs, and the rule that is left.
    """

    def is_deep_grey(photograph: Photograph) -> bool:
        is_deep = photograph.pixels.dtype == np.uint16 and not photograph.is_coloured
        return is_deep or photograph.pixels.dtype == np.float64

    if levels == "full" or not any(map(is_deep_grey, photographs)):
        return photographs, levels
    # As measured values, because `from_unit` takes them for more than 8 bits.
    return [
        x._replace(pixels=unit_of(x.pixels, levels, x.name)) if is_deep_grey(x) else x
        for x in photographs
    ], "0:1"


def _filled(
    photograph: Photograph, is_known: np.ndarray, first: np.ndarray
) -> Photograph:
    """Lets the first picture stand in, at the levels that this one's type has."""
    pixels = photograph.pixels.copy()
    is_whole = np.issubdtype(pixels.dtype, np.integer)
    scale = np.iinfo(pixels.dtype).max if is_whole else 1
    values = (first[~is_known] * scale).astype(pixels.dtype)
    pixels[~is_known] = values if pixels.ndim == 2 else values[:, None]
    alpha = photograph.alpha
    if alpha is not None:
        alpha = np.where(is_known, alpha, np.iinfo(alpha.dtype).max)
    return photograph._replace(pixels=pixels, alpha=alpha)


def _cropped(photograph: Photograph, known: np.ndarray) -> Photograph:
    rows, columns = largest_rectangle(known)
    alpha = photograph.alpha
    return photograph._replace(
        pixels=photograph.pixels[rows, columns],
        alpha=None if alpha is None else alpha[rows, columns],
    )
