"""Variants with several seeds, on numbers whose differences are known."""

import numpy as np
import pytest

from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.variants import averaged, variant_tables

STEMS = ("1", "2", "3")


def scores(values: list[float]) -> Scores:
    return Scores(STEMS, ("sd",), np.array(values)[:, None])


def test_each_pair_is_averaged_over_the_seeds() -> None:
    mean = averaged([scores([1.0, 2.0, 3.0]), scores([3.0, 2.0, 7.0])])
    np.testing.assert_array_equal(mean.column("sd"), [2.0, 2.0, 5.0])


def test_an_undefined_score_of_a_seed_leaves_the_pair_undefined() -> None:
    mean = averaged([scores([1.0, np.nan, 3.0]), scores([3.0, 2.0, 7.0])])
    np.testing.assert_array_equal(mean.column("sd"), [2.0, np.nan, 5.0])


def test_seeds_of_other_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="same pairs and metrics for every seed"):
        averaged([scores([1.0, 2.0, 3.0]), Scores(("1",), ("sd",), np.ones((1, 1)))])


def test_tables_tell_a_sure_difference_from_one_that_the_seed_decides() -> None:
    base = [10.0, 20.0, 30.0]
    runs = {
        "learned": [scores(base), scores(base)],
        "better": [scores([x + 2 for x in base]), scores([x + 1 for x in base])],
        "unsure": [scores([x + 2 for x in base]), scores([x - 2 for x in base])],
    }
    means, differences, by_seed = variant_tables(runs, "learned")
    assert [(row.name, row.cells[-1].text) for row in means.rows] == [
        ("learned", "2.50"),
        ("better", "1.00"),
        ("unsure", "2.50"),
    ]
    assert [(row.name, row.cells[-1].text) for row in differences.rows] == [
        ("better", "1 : 0 : 0"),
        ("unsure", "0 : 0 : 1"),
    ]
    assert [[cell.text for cell in row.cells] for row in by_seed.rows] == [
        ["+1 to +2", "2"],
        ["-2 to +2", "2"],
    ]
