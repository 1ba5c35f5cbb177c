"""A survey of a data set: sizes, colour, patches; and what train and test share."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refusion_jax.data.patches import corners, kept_corners
from refusion_jax.data.sources import Luminances
from refusion_jax.pictures.levels import is_coloured


class Traits(NamedTuple):
    """The facts that a survey keeps about one pair.

    Attributes:
      stem: its name.
      size: height, width.
      colour: whether a and b have colour (three channels that differ somewhere).
      digests: of the luminances of a and b; empty for a picture of a single level,
        since any two of those may be equal by chance.
      patches: on the grid of `patches`, and how many of them have contrast.
    """

    stem: str
    size: tuple[int, int]
    colour: tuple[bool, bool]
    digests: tuple[str, str]
    patches: tuple[int, int]


def examine(
    stem: str, pictures: tuple[np.ndarray, np.ndarray], pair: Luminances
) -> Traits:
    """Returns the traits of one pair.

    Args:
      stem: its name.
      pictures: a and b as they were read, uint8.
      pair: their luminances, of one size.
    """
    height, width = pair[0].shape
    return Traits(
        stem=stem,
        size=(height, width),
        colour=(is_coloured(pictures[0]), is_coloured(pictures[1])),
        digests=(_digest(pair[0]), _digest(pair[1])),
        patches=(len(corners(height, width)), len(kept_corners(pair))),
    )


def summarise(traits: Sequence[Traits], skipped: Sequence[str]) -> dict[str, Any]:
    """Returns the numbers of one split, ready for JSON.

    Args:
      traits: of each pair, in order.
      skipped: one sentence per file.

    Returns:
      pairs, sizes (of each pair), colour (coloured pictures of a, of b), patches (on
      the grid, kept) and skipped.
    """
    return {
        "pairs": len(traits),
        "sizes": [list(each.size) for each in traits],
        "colour": [sum(each.colour[side] for each in traits) for side in (0, 1)],
        "patches": [sum(each.patches[i] for each in traits) for i in (0, 1)],
        "skipped": list(skipped),
    }


def describe(summary: Mapping[str, Any]) -> list[str]:
    """Returns a split's summary in words.

    Args:
      summary: of `summarise`.

    Returns:
      Lines to print.
    """
    count = summary["pairs"]
    sizes = sorted({tuple(size) for size in summary["sizes"]})
    (low_height, low_width), (height, width) = np.min(sizes, 0), np.max(sizes, 0)
    if len(sizes) == 1:
        extent = f"{width}x{height} pixels"
    else:
        extent = (
            f"{len(sizes)} sizes, {low_width} to {width} pixels wide, {low_height} to "
            f"{height} high"
        )
    colour = ", ".join(
        f"{side}: {count - coloured} grey, {coloured} colour"
        for side, coloured in zip("ab", summary["colour"], strict=True)
    )
    on_grid, kept = summary["patches"]
    return [
        f"{count} pairs, {extent}",
        colour,
        f"patches of 128 at stride 200: {kept} kept of {on_grid}",
        f"skipped: {len(summary['skipped'])}",
        *(f"  {reason}" for reason in summary["skipped"]),
    ]


def find_leaks(splits: Mapping[str, Sequence[Traits]], scene: str = "") -> list[str]:
    """Returns what splits share: on shared data a test proves nothing.

    Args:
      splits: the pairs of each split.
      scene: a regular expression whose first group is the scene in a stem.

    Returns:
      One sentence for each stem, scene and picture (equal luminance, whatever the
      file) that is in two splits.
    """
    seen: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(dict)
    for split, traits in splits.items():
        for each in traits:
            for mark in _marks(each, scene):
                seen[mark].setdefault(split, []).append(each.stem)
    leaks = []
    for (kind, which), by_split in seen.items():
        if len(by_split) > 1:
            what = kind if kind == "picture" else f"{kind} {which}"
            where = (f"{split} ({_some(stems)})" for split, stems in by_split.items())
            leaks.append(f"the same {what} is in {' and '.join(where)}")
    return list(dict.fromkeys(leaks))  # both pictures of a pair may be shared


def _marks(traits: Traits, scene: str) -> set[tuple[str, str]]:
    """Returns the marks of a pair that must not occur in two splits."""
    marks = {("stem", traits.stem)}
    marks |= {("picture", digest) for digest in traits.digests if digest}
    if scene and (match := re.search(scene, traits.stem)):
        marks.add(("scene", match.group(1)))
    return marks


def _some(stems: Sequence[str]) -> str:
    rest = f" and {len(stems) - 2} more" if len(stems) > 2 else ""
    return ", ".join(stems[:2]) + rest


def _digest(luminance: np.ndarray) -> str:
    if luminance.min() == luminance.max():
        return ""
    shape = repr(luminance.shape).encode()
    return hashlib.sha256(shape + luminance.tobytes()).hexdigest()
