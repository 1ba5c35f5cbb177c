import numpy as np
import pytest

from refusion_jax.reporting.panel import GAP, LABEL_HEIGHT, make_panel, to_bytes

GREY = np.random.default_rng(0).integers(0, 256, (6, 9), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)


def tile(panel, row, column):
    top = GAP + row * (6 + LABEL_HEIGHT + GAP) + LABEL_HEIGHT
    left = GAP + column * (9 + GAP)
    return panel[top : top + 6, left : left + 9]


def test_every_picture_stands_in_its_cell_unchanged():
    panel = make_panel([{"a": GREY, "b": RGB}, {"c": GREY / 255}])
    assert panel.dtype == np.uint8
    assert panel.shape == (GAP + 2 * (6 + LABEL_HEIGHT + GAP), GAP + 2 * (9 + GAP), 3)
    np.testing.assert_array_equal(tile(panel, 0, 0), np.dstack([GREY] * 3))
    np.testing.assert_array_equal(tile(panel, 0, 1), RGB)
    np.testing.assert_array_equal(tile(panel, 1, 0), np.dstack([GREY] * 3))
    assert (tile(panel, 1, 1) == 255).all()


def test_labels_are_drawn_above_and_nowhere_else():
    black = np.zeros((30, 60), np.uint8)
    panel = make_panel([{"label": black}])
    plain = make_panel([{"": black}])
    changed = np.argwhere((panel != plain).any(axis=-1))
    assert len(changed) > 10
    assert GAP <= changed[:, 0].min() and changed[:, 0].max() < GAP + LABEL_HEIGHT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_rounded_to_the_nearest_byte_and_clipped(dtype):
    values = np.array([-1, 0, 0.4 / 255, 0.6 / 255, 0.5, 254.6 / 255, 1, 2], dtype)
    np.testing.assert_array_equal(to_bytes(values), [0, 0, 0, 1, 128, 255, 255, 255])


def test_bytes_stay_as_they_are():
    assert to_bytes(GREY) is GREY
