"""Luminance pairs by index, in memory or read when asked for: one interface."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

# uint8 luminance of source a and source b, (height, width) each.
Luminances = tuple[np.ndarray, np.ndarray]


class PairSource(Protocol):
    """Luminance pairs by index: a list, or something that reads them when asked."""

    def __len__(self) -> int:
        """The number of pairs."""
        ...

    def __getitem__(self, index: int, /) -> Luminances:
        """One pair."""
        ...


class ChosenPairs:
    """Some pairs of a source, read when they are asked for."""

    def __init__(self, pairs: PairSource, indices: Sequence[int]) -> None:
        """Remembers which.

        Args:
          pairs: to choose from.
          indices: of the chosen ones, in their new order.
        """
        self._pairs, self._indices = pairs, [int(i) for i in indices]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each pair."""
        sizes = sizes_of(self._pairs)
        return [sizes[i] for i in self._indices]

    def __len__(self) -> int:
        """The number of chosen pairs."""
        return len(self._indices)

    def __getitem__(self, index: int) -> Luminances:
        """One of them."""
        return self._pairs[self._indices[index]]


def sizes_of(pairs: PairSource) -> list[tuple[int, int]]:
    """(height, width) of each pair, without reading pairs that know their sizes.

    Args:
      pairs: a list, or a source with an attribute `sizes`.

    Returns:
      The sizes in order.
    """
    known: list[tuple[int, int]] | None = getattr(pairs, "sizes", None)
    if known is not None:
        return known
    return [(pair[0].shape[0], pair[0].shape[1]) for pair in in_order(pairs)]


def in_order(pairs: PairSource) -> Iterator[Luminances]:
    """The pairs one after the other.

    Args:
      pairs: any source.

    Yields:
      Each pair.
    """
    return (pairs[i] for i in range(len(pairs)))


def fingerprint(pairs: PairSource) -> str:
    """Tells pairs apart: a digest of all sizes and pixels, in order.

    Args:
      pairs: any source; one with an attribute `fingerprint` is not read.

    Returns:
      64 hexadecimal digits.
    """
    known: str | None = getattr(pairs, "fingerprint", None)
    if known is not None:
        return known
    digest = hashlib.sha256()
    for pair in in_order(pairs):
        add_to_fingerprint(digest, pair)
    return digest.hexdigest()


def add_to_fingerprint(digest: Any, pair: Luminances) -> None:
    """The step of `fingerprint`.

    Args:
      digest: a hash object, which is updated.
      pair: uint8 luminance of a and b.
    """
    for picture in pair:
        digest.update(repr(picture.shape).encode())
        digest.update(picture.tobytes())
