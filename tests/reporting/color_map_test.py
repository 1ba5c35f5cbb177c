import numpy as np
import pytest

from refusion_jax.reporting.color_map import DIVERGING, color_map
from refusion_jax.reporting.page import asset

RAMP = np.linspace(0, 1, 101)
# What deuteranopes and protanopes see of linear RGB, in full (Machado, Oliveira &
# Fernandes 2009).
EYES = {
    "all cones": np.eye(3),
    "without green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "without red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def lab(colours, eye):
    """CIELAB (D65) of sRGB as an eye sees it."""
    unit = colours / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    linear = (linear @ np.transpose(EYES[eye])).clip(0, 1)
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    xyz = linear @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("eye", EYES)
def test_every_eye_tells_the_ends_of_the_diverging_map_apart(eye):
    seen = lab(color_map(RAMP), eye)
    middle = 50
    assert (np.diff(seen[: middle + 1, 0]) > 0.2).all()  # brighter up to the middle
    assert (np.diff(seen[middle:, 0]) < -0.2).all()
    # Values at the same distance from the middle are of unlike colours, the more so
    # the farther they are; 2.3 is just noticeable.
    apart = np.linalg.norm(seen[:middle][::-1] - seen[middle + 1 :], axis=-1)
    assert apart[10] > 12 and apart[20:].min() > 40
    assert abs(seen[[0, -1], 0]).min() > 10  # no end is black


def test_middle_of_the_diverging_map_is_neutral():
    assert np.ptp(color_map(np.array(0.5))) == 0
    assert len(np.unique(color_map(RAMP), axis=0)) > 95
    assert color_map(np.array([-1.0, 2.0])).tolist() == [
        np.round(255 * end).astype(int).tolist() for end in DIVERGING[[0, -1]]
    ]


def test_the_viewer_paints_differences_by_the_ends_of_the_map():
    low, high = color_map(np.array([0.0, 1.0])).tolist()
    assert f"VIEWER_ENDS = [{low}, {high}];" in asset("viewer.js")
    stops = [f"rgb({' '.join(map(str, end))})" for end in (low, high)]
    assert f"linear-gradient(90deg, {stops[0]}, #fff, {stops[1]})" in asset(
        "viewer.css"
    )
