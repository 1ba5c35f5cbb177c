import numpy as np
import pytest

from refusion_jax.pictures.levels import check_rule, to_8_bit, to_fraction, unit_of
from refusion_jax.pictures.notes import RangeWarning

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


@pytest.mark.parametrize(
    "rule", ["Auto", "", "5", "9:5", "5:5", "1:2:3", "1:", "nan:5", "0:1e999"]
)
def test_an_unknown_rule_lists_the_rules(rule):
    for function in (check_rule, lambda rule: to_8_bit(THERMAL, rule)):
        with pytest.raises(ValueError, match=r"min-max, percentile, auto, or LOW:HIGH"):
            function(rule)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("min-max", [[0, 0.5], [0.75, 1]]),
        ("-20:20", [[0, 0.5], [0.75, 1]]),
        ("-2.5e1:25.0", [[0.1, 0.5], [0.7, 0.9]]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_measured_values_go_through_the_rules(rule, expected, dtype):
    celsius = np.array([[-20, 0], [10, 20]], dtype)
    np.testing.assert_allclose(to_fraction(celsius, rule), expected)


def test_measured_values_have_no_scale_of_their_own():
    message = r"x\.tif: expected a range rule for values of -20.5 to 41, got 'full'"
    with pytest.raises(ValueError, match=message):
        unit_of(np.array([[-20.5, 41.0]]), name="x.tif")


def test_auto_is_full_where_the_scale_is_used_and_else_percentile():
    narrow = np.linspace(20000, 30000, 500).astype(np.uint16)
    wide = np.linspace(20000, 40000, 500).astype(np.uint16)
    for levels, rule in ((narrow, "percentile"), (wide, "full")):
        np.testing.assert_array_equal(
            to_fraction(levels, "auto"), to_fraction(levels, rule)
        )


def test_16_bits_that_use_little_of_the_scale_are_reported_with_the_cure():
    message = r"x uses the levels 29000 to 31000 of 65535.*auto.*29000:31000"
    with pytest.warns(RangeWarning, match=message):
        unit_of(THERMAL, "full", "x")
    # Nothing to report: flat, of another rule, or wide enough.
    unit_of(np.full((2, 2), 7000, np.uint16))
    unit_of(THERMAL, "auto")
    unit_of(np.array([[0, 16384]], np.uint16))


def test_16_bit_colour_is_read_in_full_and_three_equal_channels_are_grey():
    colour = np.dstack([THERMAL, THERMAL, THERMAL])
    np.testing.assert_array_equal(
        unit_of(colour, "min-max")[..., 0], to_fraction(THERMAL, "min-max")
    )
    colour[0, 0, 2] = 0
    np.testing.assert_allclose(unit_of(colour, "min-max"), colour / 65535)
