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
        "learned": {0: scores(base), 1: scores(base)},
        "better": {0: scores([x + 2 for x in base]), 1: scores([x + 1 for x in base])},
        "unsure": {0: scores([x + 2 for x in base]), 1: scores([x - 2 for x in base])},
        "failed once": {1: scores([x + 3 for x in base])},
    }
    means, differences, by_seed = variant_tables(runs, "learned")
    assert [(row.name, row.cells[-1].text) for row in means.rows] == [
        ("learned", "3.50"),
        ("better", "2.00"),
        ("unsure", "3.50"),
        ("failed once", "1.00"),
    ]
    assert [(row.name, row.cells[-1].text) for row in differences.rows] == [
        ("better", "1 : 0 : 0"),
        ("unsure", "0 : 0 : 1"),
        ("failed once", "1 : 0 : 0"),
    ]
    assert [[cell.text for cell in row.cells] for row in by_seed.rows] == [
        ["+1 to +2", "2"],
        ["-2 to +2", "2"],
        ["+3 to +3", "1"],
    ]
    one_seed = {name: {1: by_seed[1]} for name, by_seed in runs.items()}
    *_, by_seed = variant_tables(one_seed, "learned")
    assert by_seed.rows == ()


def test_a_variant_alone_has_means_and_nothing_to_compare_with() -> None:
    """As where the runs of all others have failed."""
    runs = {"learned": {0: scores([10.0, 20.0, 30.0])}}
    means, differences, by_seed = variant_tables(runs, "learned")
    assert [row.cells[0].text for row in means.rows] == ["20.00"]
    assert differences.rows == by_seed.rows == ()
