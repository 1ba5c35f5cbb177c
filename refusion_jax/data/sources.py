"""Luminance pairs by index, in memory or read on demand: one interface."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

# uint8 luminance of source a and source b, (height, width) each, and labels of the same
# size where the data has them (see `pictures.labels`).
Luminances = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, np.ndarray]


class PairSource(Protocol):
    """Luminance pairs by index: a list, or an object that reads them on demand."""

    def __len__(self) -> int:
        """Returns the number of pairs."""
        ...

    def __getitem__(self, index: int, /) -> Luminances:
        """Returns one pair."""
        ...


class ChosenPairs:
    """A selection of a source's pairs, read on demand."""

    def __init__(self, pairs: PairSource, indices: Sequence[int]) -> None:
        """Remembers the selection.

        Args:
          pairs: to choose from.
          indices: of the chosen pairs, in their new order.
        """
        self._pairs, self._indices = pairs, [int(i) for i in indices]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each pair."""
        sizes = sizes_of(self._pairs)
        return [sizes[i] for i in self._indices]

    @property
    def repeats(self) -> list[int]:
        """How often each pair counts."""
        repeats = repeats_of(self._pairs)
        return [repeats[i] for i in self._indices]

    def __len__(self) -> int:
        """Returns the number of chosen pairs."""
        return len(self._indices)

    def __getitem__(self, index: int) -> Luminances:
        """Returns one of the chosen pairs."""
        return self._pairs[self._indices[index]]


class LabelledPairs:
    """Pairs with the labels of each, read on demand."""

    def __init__(
        self,
        pairs: PairSource,
        names: Sequence[str],
        read: Callable[[int], np.ndarray],
    ) -> None:
        """Reads the labels of all pairs once, so that no run fails half-way.

        Args:
          pairs: to which the labels belong.
          names: of the labels of each pair, for error messages.
          read: index of a pair -> its labels, uint8, 0 where there is none.

        Raises:
          ValueError: if labels have another size than their pair, or as `read` does.
        """
        self._pairs, self._read = pairs, read
        for index, size in enumerate(sizes_of(pairs)):
            labels = read(index)
            if labels.shape != size:
                (height, width), (rows, columns) = size, labels.shape
                raise ValueError(
                    f"expected labels of the pair's {width}x{height} pixels, got "
                    f"{names[index]} of {columns}x{rows}; make them of one size, "
                    "without interpolating labels."
                )

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each pair."""
        return sizes_of(self._pairs)

    @property
    def repeats(self) -> Sequence[int]:
        """How often each pair counts."""
        return repeats_of(self._pairs)

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Luminances:
        """Returns the luminances of a and b, and the labels."""
        return (*pictures_of(self._pairs[index]), self._read(index))


class JoinedPairs:
    """Several sets one after the other, from which a run draws alike.

    Attributes:
      repeats: how often each pair counts, so that small sets weigh as much as large
        ones: the size of the largest set over that of its own, rounded.

    >>> JoinedPairs([[("a", "b")] * 6, [("c", "d")] * 2]).repeats
    [1, 1, 1, 1, 1, 1, 3, 3]
    """

    def __init__(self, sets: Sequence[PairSource]) -> None:
        """Joins the sets.

        Args:
          sets: at least one, none of them empty.
        """
        self._sets = sets
        self._places = [(i, j) for i in range(len(sets)) for j in range(len(sets[i]))]
        largest = max(len(pairs) for pairs in sets)
        self.repeats = [round(largest / len(sets[i])) for i, _ in self._places]

    def __len__(self) -> int:
        """Returns the number of pairs, each counted once."""
        return len(self._places)

    def __getitem__(self, index: int) -> Luminances:
        """Returns one pair."""
        which, place = self._places[index]
        return self._sets[which][place]


def pictures_of(pair: Luminances) -> tuple[np.ndarray, np.ndarray]:
    """Returns the luminances of a pair without its labels.

    Args:
      pair: with or without labels.
    """
    return pair[0], pair[1]


def repeats_of(pairs: PairSource) -> Sequence[int]:
    """Returns how often each pair counts: once, unless the source says otherwise.

    Args:
      pairs: any source.
    """
    repeats: Sequence[int] | None = getattr(pairs, "repeats", None)
    return [1] * len(pairs) if repeats is None else repeats


def origins_of(pairs: PairSource) -> Sequence[int]:
    """Returns the index of the whole pair that each pair is cut from, often its own.

    Args:
      pairs: any source; one with an attribute `origins` says it.
    """
    origins: Sequence[int] | None = getattr(pairs, "origins", None)
    return range(len(pairs)) if origins is None else origins


def sizes_of(pairs: PairSource) -> list[tuple[int, int]]:
    """Returns (height, width) of each pair, read only if the source has no `sizes`.

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
    """Iterates over the pairs.

    Args:
      pairs: any source.

    Yields:
      Each pair.
    """
    return (pairs[i] for i in range(len(pairs)))


def fingerprint(pairs: PairSource) -> str:
    """Returns a digest of all sizes and pixels, in order.

    >>> dark, light = np.zeros((1, 2), np.uint8), np.ones((1, 2), np.uint8)
    >>> fingerprint([(dark, light)])[:12]
    'a506d9f87522'
    >>> fingerprint([(light, dark)]) == fingerprint([(dark, light)])
    False

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
    """Updates the digest of `fingerprint` with one pair.

    Args:
      digest: a hash object; updated in place.
      pair: uint8 luminance of a and b, and labels if there are any.
    """
    for picture in pair:
        digest.update(repr(picture.shape).encode())
        digest.update(picture.tobytes())
