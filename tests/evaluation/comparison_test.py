import itertools
import math

import numpy as np
import pytest

from refusion_jax.evaluation.comparison import (
    difference,
    marks,
    paired_bootstrap,
    sign_test,
)
from refusion_jax.reporting.ranking import rank

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "higher", "expected"),
    [
        ([3.0, 1.0, 2.0], True, ["best", "", "second"]),
        ([3.0, 1.0, 2.0], False, ["", "best", "second"]),
        ([2.0, 2.0, 1.0, 0.0], True, ["best", "best", "second", ""]),
        ([2.0, 1.0, 1.0, 0.0], True, ["best", "second", "second", ""]),
        ([NAN, 1.0, 2.0], False, ["", "best", "second"]),
        ([5.0, 5.0], True, ["best", "best"]),
        ([1.0], True, [""]),
        ([NAN, 1.0], True, ["", ""]),
    ],
)
def test_marks_follow_the_direction_and_share_ties(values, higher, expected):
    assert marks(values, higher_is_better=higher) == expected


def test_ranks_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="SciPy is in the extra `demo`")
    values = np.random.default_rng(0).integers(0, 5, (20, 6)).astype(float)
    for row in values:
        expected = stats.rankdata(row)
        np.testing.assert_array_equal(rank(row, higher_is_better=False), expected)
        np.testing.assert_array_equal(rank(-row, higher_is_better=True), expected)


def test_an_undefined_value_has_no_rank_and_takes_no_place():
    ranks = rank([NAN, 3.0, 1.0], higher_is_better=True)
    np.testing.assert_array_equal(ranks, [NAN, 1, 2])


def test_the_sign_test_is_the_exact_binomial_test():
    stats = pytest.importorskip("scipy.stats", reason="SciPy is in the extra `demo`")
    for wins, losses in [*itertools.product(range(8), range(8)), (200, 161), (0, 361)]:
        if wins + losses:
            expected = stats.binomtest(wins, wins + losses).pvalue
            np.testing.assert_allclose(sign_test(wins, losses), expected, rtol=1e-9)


def test_the_sign_test_of_no_pictures_says_nothing():
    assert sign_test(0, 0) == 1
    # By hand: five of five, 2 / 2^5.
    assert sign_test(5, 0) == sign_test(0, 5) == 1 / 16


def test_equal_differences_leave_no_doubt():
    assert paired_bootstrap(np.full(7, 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pictures_have_no_interval(count):
    assert np.isnan(paired_bootstrap(np.ones(count))).all()


def test_the_interval_of_two_pictures_is_the_distribution_of_their_means():
    # Means of a resample: 0, 1, 2 with probabilities 1/4, 1/2, 1/4.
    values = np.array([0.0, 2.0])
    assert paired_bootstrap(values, level=0.9) == (0, 2)
    assert paired_bootstrap(values, level=0.4) == (1, 1)


def test_the_interval_is_that_of_a_loop_over_all_resamples():
    values = np.array([0.0, 1.0, 5.0, 6.0])
    means = [np.mean(draw) for draw in itertools.product(values, repeat=4)]
    expected = np.quantile(means, [0.1, 0.9])
    found = paired_bootstrap(values, level=0.8, resamples=20_000)
    # Means come in steps of 1/4.
    np.testing.assert_allclose(found, expected, atol=0.25)


def test_the_interval_moves_and_scales_with_the_differences():
    values = np.random.default_rng(3).normal(size=30)
    low, high = paired_bootstrap(values, resamples=500)
    np.testing.assert_allclose(
        paired_bootstrap(2 * values + 1, resamples=500), (2 * low + 1, 2 * high + 1)
    )


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(400):
        sample = generator.normal(0.3, 1.0, 40)
        low, high = paired_bootstrap(sample, resamples=400, seed=seed)
        hits += low <= 0.3 <= high
    # 95% of 400 is 380; the percentile bootstrap is a little short at 40 pictures, and
    # four standard errors of the count are 17.
    assert 358 <= hits <= 396


def test_the_seed_decides():
    values = np.random.default_rng(1).normal(size=12)
    first, again, other = (paired_bootstrap(values, seed=x) for x in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("wrong", [{"level": 0}, {"level": 1.0}, {"resamples": 0}])
def test_a_bootstrap_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="expected a level in"):
        paired_bootstrap(np.arange(3.0), **wrong)


@pytest.mark.parametrize("higher", [True, False])
def test_a_difference_counts_wins_by_the_direction_of_the_metric(higher):
    ours = np.array([3.0, 2.0, 1.0, 1.0, NAN, 5.0, np.inf])
    other = np.array([1.0, 1.0, 1.0, 4.0, 2.0, NAN, np.inf])
    found = difference(ours, other, higher_is_better=higher)
    assert (found.wins, found.losses) == ((2, 1) if higher else (1, 2))
    assert found.ties == 1
    assert found.mean == 0  # (2 + 1 + 0 - 3) / 4
    assert found.p_value == 1
    assert found.interval.low < 0 < found.interval.high


def test_a_difference_over_no_pictures_is_undefined():
    found = difference(np.array([NAN]), np.array([1.0]), higher_is_better=True)
    assert np.isnan(found.mean) and np.isnan(found.interval).all()
    assert found[2:] == (0, 0, 0, 1)
