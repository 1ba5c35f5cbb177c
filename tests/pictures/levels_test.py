import numpy as np
import pytest

from refusion_jax.pictures.levels import check_rule, to_8_bit

THERMAL = np.array([[29000, 29500], [30000, 31000]], np.uint16)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("full", [[113, 115], [117, 121]]),  # level / 257
        ("min-max", [[0, 64], [128, 255]]),  # (level - 29000) / 2000 * 255
        ("29500:30500", [[0, 0], [128, 255]]),  # clipped on both sides
        ("0:65535", [[113, 115], [117, 121]]),
    ],
)
def test_a_rule_names_the_levels_of_black_and_white(rule, expected):
    made = to_8_bit(THERMAL, rule)
    np.testing.assert_array_equal(made, expected)
    assert made.dtype == np.uint8


def test_percentile_is_not_moved_by_a_dead_pixel():
    ramp = np.linspace(20000, 21000, 1000).round().astype(np.uint16)
    broken = ramp.copy()
    broken[0] = 65535
    clean, with_dead_pixel = (to_8_bit(x, "percentile") for x in (ramp, broken))
    assert np.abs(clean[1:].astype(int) - with_dead_pixel[1:]).max() <= 1
    # One percent lies beyond each bound, and what is next to it rounds to it.
    assert (clean == 0).sum() == (clean == 255).sum() == 12
    assert to_8_bit(broken, "min-max")[1:].max() < 10


@pytest.mark.parametrize("rule", ["min-max", "percentile"])
def test_a_picture_of_one_level_becomes_black(rule):
    assert not to_8_bit(np.full((2, 2), 7000, np.uint16), rule).any()


@pytest.mark.parametrize("rule", ["auto", "", "5", "9:5", "-1:5", "0:65536", "1:2:3"])
def test_an_unknown_rule_lists_the_rules(rule):
    for function in (check_rule, lambda rule: to_8_bit(THERMAL, rule)):
        with pytest.raises(ValueError, match=r"full, min-max, percentile, or LOW:HIGH"):
            function(rule)
