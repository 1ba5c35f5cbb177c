import numpy as np

from refusion_jax.reporting.curves import plot_curves


def test_curves_are_drawn_from_their_own_stage():
    lines = [
        {"step": step, "stage": stage, "loss": value}
        for step in (1, 2, 3)
        for stage, value in (("fusion", 0.1 * step), ("validation", 2.0))
    ]
    curves = {"training": ("fusion", "loss"), "held out": ("validation", "loss")}
    both = plot_curves(lines, curves)
    assert both.dtype == np.uint8 and both.shape[-1] == 3
    other = [*lines, {"step": 2, "stage": "meta", "loss": 50.0}]
    np.testing.assert_array_equal(both, plot_curves(other, curves))
    moved = [
        line | {"loss": 0.5} if line["stage"] == "fusion" else line for line in lines
    ]
    assert (both != plot_curves(moved, curves)).any()
