import numpy as np
import pytest

from refusion_jax.data.device_batches import fits_on_device
from refusion_jax.data.sources import (
    ChosenPairs,
    JoinedPairs,
    fingerprint,
    in_order,
    sizes_of,
)

SIZES = [(3, 4), (5, 2), (4, 3)]
PAIRS = [
    tuple(np.full(size, 10 * i + side, np.uint8) for side in (0, 1))
    for i, size in enumerate(SIZES)
]


class Unread:
    """Knows its sizes, and must not be read."""

    sizes = SIZES
    fingerprint = "known"

    def __len__(self):
        return len(SIZES)

    def __getitem__(self, index):
        raise AssertionError("read")


def test_sizes_are_known_or_looked_up():
    assert sizes_of(PAIRS) == SIZES
    assert sizes_of(Unread()) == SIZES


def test_chosen_pairs_are_those_pairs_in_that_order():
    chosen = ChosenPairs(PAIRS, np.array([2, 0]))
    assert len(chosen) == 2
    assert [pair[0][0, 0] for pair in in_order(chosen)] == [20, 0]
    assert chosen.sizes == [SIZES[2], SIZES[0]]
    assert ChosenPairs(Unread(), [1]).sizes == [SIZES[1]]
    with pytest.raises(IndexError):
        chosen[2]


def test_the_fingerprint_tells_pixels_sizes_and_order_apart():
    first = fingerprint(PAIRS)
    changed = [tuple(x.copy() for x in pair) for pair in PAIRS]
    assert fingerprint(changed) == first
    changed[1][1][0, 0] += 1
    others = [
        changed,
        PAIRS[::-1],
        [pair[::-1] for pair in PAIRS],
        [tuple(x.T for x in pair) for pair in PAIRS],
        PAIRS[:2],
    ]
    digests = {first, *(fingerprint(other) for other in others)}
    assert len(digests) == 6
    assert fingerprint(Unread()) == "known"


def test_the_memory_budget_decides_where_a_set_lives():
    total = 2 * sum(height * width for height, width in SIZES)
    assert fits_on_device(SIZES, total)
    assert not fits_on_device(SIZES, total - 1)
    assert not fits_on_device([(50000, 50000)], float("inf"))  # beyond int32


def test_joined_sets_count_alike_and_each_pair_once():
    large, small = [("a", "b")] * 9, [("c", "d"), ("e", "f")]
    joined = JoinedPairs([large, small])
    assert [*in_order(joined)] == [*large, *small]
    assert joined.repeats == [1] * 9 + [4] * 2
    assert ChosenPairs(joined, [8, 9]).repeats == [1, 4]
    assert ChosenPairs(large, [8, 0]).repeats == [1, 1]
