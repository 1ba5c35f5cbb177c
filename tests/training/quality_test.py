"""Fused pictures of held-out pairs are ranked beside what needs no training."""

import numpy as np
import pytest

from refusion_jax.metrics import METRICS, compute
from refusion_jax.training.quality import COLUMNS, RIVALS, Judge, fuse, mean_ranks

RNG = np.random.default_rng(0)
# Darker noise of another size in each pair: judged are centres of 40 x 40 pixels.
PAIRS = [
    tuple(RNG.integers(0, high, (40, width), np.uint8) for high in (256, 128))
    for width in (40, 50)
]


@pytest.fixture
def brightest(hand_model):
    return hand_model(np.maximum)


def test_fused_as_without_options(hand_model):
    """As `refusion fuse` does: stretched to black and white, rounded half up."""
    a, b = np.array([[10, 200]], np.uint8), np.array([[30, 240]], np.uint8)
    mean = hand_model(lambda a, b: (a + b) / 2)
    assert fuse(mean, a, b).tolist() == [[0, 255]]
    same = hand_model(lambda a, b: a)
    full = np.array([[0, 77, 255]], np.uint8)
    np.testing.assert_array_equal(fuse(same, full, full), full)


def test_columns_are_means_over_the_centres_of_the_pairs(brightest):
    scalars = Judge(PAIRS, 8).score(brightest)
    (a, b), (wide_a, wide_b) = PAIRS
    rows = [
        compute(x, y, np.maximum(x, y), ["sd", "scd"])
        for x, y in ((a, b), (wide_a[:, 5:45], wide_b[:, 5:45]))
    ]
    for key in ("sd", "scd"):
        expected = np.mean([row[key] for row in rows])
        assert scalars[f"maximum_{key}"] == pytest.approx(expected)
    assert {name.rpartition("_rank")[0] for name in scalars if "_rank" in name} == {
        "fused",
        *RIVALS,
    }


def test_equal_pictures_share_a_rank(brightest):
    """Sources that reach black and white: the stretch changes nothing."""
    pair = [np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)]
    for source, value in zip(pair, (255, 60), strict=True):
        source[RNG.random(source.shape) < 0.5] = value
    scalars = Judge([tuple(pair)], 8).score(brightest)
    assert scalars["fused_rank"] == scalars["maximum_rank"]
    assert sum(scalars[f"{x}_rank"] for x in ("fused", *RIVALS)) == pytest.approx(15)


def test_no_more_pairs_than_wanted_are_judged(brightest):
    assert Judge(PAIRS, 0).score(brightest) == {}
    (a, b), _ = PAIRS
    one = Judge(PAIRS, 1).score(brightest)
    assert one["average_sd"] == pytest.approx(
        compute(a, b, RIVALS["average"](a, b), ["sd"])["sd"]
    )


def test_ranks_know_which_way_is_better():
    lower = next(key for key in METRICS if not METRICS[key].higher_is_better)
    assert mean_ranks([{lower: 1.0, "en": 1.0}, {lower: 2.0, "en": 2.0}]) == [1.5, 1.5]
    assert mean_ranks([{lower: 1.0}, {lower: 2.0}]) == [1.0, 2.0]
    assert {"en", "viff"} <= set(COLUMNS)
