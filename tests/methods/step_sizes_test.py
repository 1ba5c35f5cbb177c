"""Half a cosine after a warm-up, by values worked out by hand."""

import pytest

from refusion_jax.methods.step_sizes import half_cosine


def test_half_the_step_size_then_a_fall_to_a_fiftieth():
    # Cosines of 0, 60, 90, 120 and 180 degrees.
    assert half_cosine(0, 8) == 0.5
    for epoch, cosine in ((1, 1), (3, 0.5), (4, 0), (5, -0.5), (7, -1)):
        expected = 0.02 + 0.98 * (1 + cosine) / 2
        assert half_cosine(epoch, 8) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("epochs", [2, 3, 9])
def test_it_stays_at_a_fiftieth_after_its_end(epochs):
    assert half_cosine(epochs, epochs) == half_cosine(10 * epochs, epochs) == 0.02
