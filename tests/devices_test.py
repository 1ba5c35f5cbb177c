import jax
import pytest

from refusion_jax.devices import most_that_divide, split_cpu


@pytest.mark.parametrize(
    ("batch_size", "limit", "parts"),
    [(4, 2, 2), (4, 3, 2), (4, 16, 4), (1, 8, 1), (6, 5, 3), (7, 4, 1)],
)
def test_parts_are_equal_and_as_many_as_allowed(batch_size, limit, parts):
    assert most_that_divide(batch_size, limit) == parts


def test_the_cpu_is_not_split_under_a_running_program():
    jax.devices()
    with pytest.raises(RuntimeError, match="jax_num_cpu_devices"):
        split_cpu(1)
