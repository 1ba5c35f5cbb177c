"""Pairs whose sources are made one picture."""

import jax
import numpy as np
import pytest

from refusion_jax.array_types import Batch
from refusion_jax.methods.refusion.state import with_identical


@pytest.fixture(name="batch")
def fixture_batch() -> Batch:
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.uniform(key, (400, 2, 3, 1)) for key in keys)
    return Batch(a, b)


def test_replaced_pairs_hold_one_of_their_sources_twice(batch: Batch) -> None:
    made = with_identical(batch, 0.5, jax.random.key(1))
    a, b, new_a, new_b = map(
        np.asarray, (batch.source_a, batch.source_b, made.source_a, made.source_b)
    )
    is_pair = [
        (new_a[i] == a[i]).all() and (new_b[i] == b[i]).all() for i in range(400)
    ]
    both_a = [(new_a[i] == a[i]).all() and (new_b[i] == a[i]).all() for i in range(400)]
    both_b = [(new_a[i] == b[i]).all() and (new_b[i] == b[i]).all() for i in range(400)]
    counts = [sum(kind) for kind in (is_pair, both_a, both_b)]
    assert sum(counts) == 400
    # Five standard deviations of a binomial around 200, 100 and 100.
    np.testing.assert_allclose(counts, [200, 100, 100], atol=50)


def test_no_share_replaces_nothing(batch: Batch) -> None:
    made = with_identical(batch, 0.0, jax.random.key(1))
    np.testing.assert_array_equal(made.source_a, batch.source_a)
    np.testing.assert_array_equal(made.source_b, batch.source_b)
