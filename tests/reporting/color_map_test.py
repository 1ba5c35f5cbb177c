import colorsys

import numpy as np

from refusion_jax.reporting.color_map import color_map


def test_colours_run_from_blue_over_green_to_red():
    colours = color_map(np.linspace(0, 1, 101)[None])[0] / 255
    hues = np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in colours])
    assert (np.diff(hues) <= 1e-2).all()
    assert (
        abs(hues[0] - 2 / 3) < 0.03 and abs(hues[50] - 0.3) < 0.1 and hues[100] < 0.03
    )
    assert len(np.unique(colours, axis=0)) > 95
