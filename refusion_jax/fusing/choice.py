"""Which shipped weights suit some sources, by their names and their looks.

1. Names: if words in the names of two sources (`infrared` and `visible`) are hints of
   one card, that one. Only words count in which the sources differ.
2. Looks: if what the pictures have in common is the look of one card, that one.
3. One name: if words of one source, or common to all, are hints of one card, that one.

Else it is not clear. The hints stand in the cards, see `weights.pretrained`.
"""

import re
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from refusion_jax.pictures.codecs import read_picture
from refusion_jax.weights.pretrained import (
    Hints,
    Pretrained,
    find_pretrained,
    pretrained,
)

# The looks that a card can name, and what they say of the sources.
LOOKS = {
    "sharpness": "they show the same things equally bright",
    "brightness": "they show the same things at different brightness",
    "sensors": "they show different things, at most one of them in colour",
    "black surround": "they have a black background",
}
# Bounds that part the looks on 782 pairs of ten public sets, never
# wrongly, while four stay unclear.
BLACK_RIM = (
    0.6  # share of black in the rim: above 0.75 in medical pairs, else below 0.5
)
SAME = 0.9  # correlation of levels: on black never that of two modalities
ALIKE, UNLIKE = 0.85, 0.6  # correlation of levels or of ranks, at least, at most
EQUALLY_BRIGHT, DIFFERENTLY_BRIGHT = 1.2, 1.5  # ratio of mean levels, at most, at least
COLOURED = 0.02  # share of coloured pixels
_SIDE, _RIM, _BLACK, _CHROMA = 96, 2, 8, 8  # pixels, pixels, levels, levels
_PARTS = 3  # of a path, from its end, that count as its name


class Choice(NamedTuple):
    """Shipped weights and why.

    Attributes:
      weights: the record of the weights.
      reason: a clause that begins with "because".
      is_reversed: whether the sources seem to come in the other order than the weights
        were trained with.
    """

    weights: Pretrained
    reason: str
    is_reversed: bool = False


class _Match(NamedTuple):
    """Words of names that are hints of one card."""

    weights: Pretrained
    words: tuple[str, ...]
    is_pair: bool
    is_reversed: bool = False


def choose(
    sources: Sequence[Path],
    samples: Sequence[Sequence[Path]] = (),
    *,
    levels: str = "full",
    shipped: Sequence[Pretrained] | None = None,
) -> Choice | None:
    """Chooses the shipped weights that suit some sources.

    Args:
      sources: files or folders, two or more, whose names are read.
      samples: pictures of the sources, a group for each scene to look at; none: names
        decide alone.
      levels: range rule of 16-bit grey, see `pictures.levels`.
      shipped: the weights to choose from; None: those of the package.

    Returns:
      The choice, or None if it is not clear.

    Raises:
      FileNotFoundError, ValueError: if a picture or a card cannot be read.
    """
    shipped = pretrained() if shipped is None else shipped
    words = [_words(source) for source in sources]
    found = [_match(weights, words) for weights in shipped]
    matches = [match for match in found if match is not None]
    by_pair = [match for match in matches if match.is_pair]
    if len(by_pair) == 1:
        return _by_names(by_pair[0])
    groups = [[_view(x, levels) for x in group] for group in samples]
    looks = {look_of(group) for group in groups} - {None}
    by_look = [weights for weights in shipped if looks == {weights.hints.look}]
    if len(by_look) == 1:
        look = LOOKS[by_look[0].hints.look]
        is_reversed = all(_is_reversed(group) for group in groups)
        return Choice(
            by_look[0], f"because of the sources' contents: {look}", is_reversed
        )
    return _by_names(matches[0]) if len(matches) == 1 else None


def doubt(name: str, sources: Sequence[Path], sample: Sequence[Path]) -> str | None:
    """Tells why named weights may not suit some sources, or not in this order.

    Args:
      name: of shipped weights.
      sources: files or folders, two or more, whose names are read.
      sample: pictures of one scene to look at; empty: names decide alone.

    Returns:
      One sentence; None if there is no reason, or a picture cannot be read.
    """
    weights = find_pretrained(name)
    first, second = weights.sources
    match = _match(weights, [_words(source) for source in sources])
    if match is not None and match.is_reversed:
        return (
            f"the weights {name} were trained with {first} first and {second} second, "
            f"but the names say {' and '.join(match.words)}; exchange the sources."
        )
    try:
        views = [_view(path, "auto") for path in sample]
    except (OSError, ValueError):
        return None  # whoever fuses it will say so
    if len(views) < 2:
        return None
    look = look_of(views)
    is_turned = [view.is_coloured for view in views[:2]] == [True, False]
    if weights.hints.look == look == "sensors" and is_turned:
        return (
            f"the weights {name} were trained with {first} first and {second} second, "
            "but the first source is coloured and the second is grey; exchange them?"
        )
    known = {x.hints.look for x in pretrained()}
    if look in known and weights.hints.look in LOOKS and look != weights.hints.look:
        return (
            f"the weights {name} ({weights.title}) do not seem to suit these sources: "
            f"{LOOKS[look]}; other weights may suit them better."
        )
    return None


def _by_names(match: _Match) -> Choice:
    words = " and ".join(match.words)
    reason = f"because of the name{'s' * match.is_pair} {words}"
    if match.is_reversed:
        reason += f" (they were trained with {match.weights.sources[0]} first)"
    return Choice(match.weights, reason, match.is_reversed)


def _is_reversed(views: "Sequence[View]") -> bool:
    """Returns whether looks tell that sources come in the other order.

    Of two sensors the coloured picture is the second; on black it is the first, whose
    colours are those of a palette; of exposures the darker is the first.
    """
    first, last = views[0], views[-1]
    look = look_of(views)
    if look == "black surround":
        return last.is_coloured and not first.is_coloured
    if look == "sensors":
        return first.is_coloured and not last.is_coloured
    return look == "brightness" and bool(first.levels.mean() > last.levels.mean())


def _words(path: Path) -> frozenset[str]:
    """Returns the words of a path's last parts: `FLIR_07/irImage.png`: flir, ir, image.

    Digits and signs part words.
    """
    text = " ".join(path.with_suffix("").parts[-_PARTS:])
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return frozenset(re.findall(r"[^\W\d_]+", parted.lower()))


def _match(weights: Pretrained, words: Sequence[frozenset[str]]) -> _Match | None:
    hints: Hints = weights.hints
    common = frozenset.intersection(*words)
    firsts = [sorted((x - common) & hints.first) for x in words]
    seconds = [sorted((x - common) & hints.second) for x in words]
    pairs = [
        (i, j)
        for i, first in enumerate(firsts)
        for j, second in enumerate(seconds)
        if i != j and first and second
    ]
    if pairs:
        i, j = pairs[0]
        found = (firsts[i][0], seconds[j][0])
        return _Match(weights, found[:: 1 if i < j else -1], True, i > j)
    single = [*chain(*firsts, *seconds), *sorted(common & hints.any)]
    return _Match(weights, (single[0],), False) if single else None


class View(NamedTuple):
    """What is looked at of a picture.

    Attributes:
      levels: float64 (side, side), 0..255, of the picture scaled down.
      is_coloured: whether it has more than a few coloured pixels.
    """

    levels: np.ndarray
    is_coloured: bool


def view_of(picture: np.ndarray) -> View:
    """Scales a picture down to what is looked at.

    Args:
      picture: uint8, (height, width) or (height, width, 3).
    """
    image = Image.fromarray(picture)
    size, box = (_SIDE, _SIDE), Image.Resampling.BOX
    small = np.asarray(image.resize(size, box), np.int16)
    is_coloured = small.ndim == 3 and np.mean(np.ptp(small, axis=-1) > _CHROMA)
    grey = np.asarray(image.convert("L").resize(size, box), np.float64)
    return View(grey, bool(is_coloured > COLOURED))


def look_of(views: Sequence[View]) -> str | None:
    """Tells what sources of one scene have in common.

    Args:
      views: two or more, in their order.

    Returns:
      A key of `LOOKS`, or None if it is not clear.
    """
    neighbours = list(pairwise(views))
    same = min(_correlation(a.levels, b.levels) for a, b in neighbours)
    ranks = min(_correlation(_ranks(a.levels), _ranks(b.levels)) for a, b in neighbours)
    if same < SAME and all(_black_rim(view.levels) > BLACK_RIM for view in views):
        return "black surround"
    if len({view.is_coloured for view in views}) == 2:
        return "sensors"
    alike = max(same, ranks)
    means = [max(view.levels.mean(), 1.0) for view in views]
    contrast = max(means) / min(means)
    if alike > ALIKE and contrast < EQUALLY_BRIGHT:
        return "sharpness"
    if alike > ALIKE and contrast > DIFFERENTLY_BRIGHT:
        return "brightness"
    is_unlike = alike < UNLIKE and not views[0].is_coloured
    return "sensors" if is_unlike else None


def _view(path: Path, levels: str) -> View:
    return view_of(read_picture(path, levels=levels))


def _black_rim(levels: np.ndarray) -> float:
    is_rim = np.ones(levels.shape, bool)
    is_rim[_RIM:-_RIM, _RIM:-_RIM] = False
    return float((levels[is_rim] < _BLACK).mean())


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norms = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norms) if norms else 0.0


def _ranks(levels: np.ndarray) -> np.ndarray:
    """Returns the rank of each level; equal ones share the middle of theirs."""
    _, inverse, counts = np.unique(levels, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts / 2)[inverse].reshape(levels.shape)
