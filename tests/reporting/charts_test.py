import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from refusion_jax.reporting.charts import COLORS, HEIGHT, WIDTH, chart, color, dash

STEMS = ("a", "b<&", "c")


def circles(svg):
    return [x for x in ElementTree.fromstring(svg) if x.tag == "circle"]


def test_dots_stand_in_the_order_of_the_first_method_and_name_themselves():
    svg = chart(STEMS, {"x": np.array([3.0, 1.0, 2.0]), "y": np.array([1.0, 2.0, 3.0])})
    titles = [dot[0].text for dot in circles(svg)]
    assert titles[:3] == ["x, b<&: 1", "x, c: 2", "x, a: 3"]
    assert titles[3:] == ["y, b<&: 2", "y, c: 3", "y, a: 1"]


def test_places_are_linear_in_the_values_and_inside_the_box():
    values = np.array([-5.0, 0.0, 15.0])
    dots = circles(chart(STEMS, {"x": values}))
    x, y = (np.array([float(dot.get(k)) for dot in dots]) for k in ("cx", "cy"))
    np.testing.assert_allclose(np.diff(x), np.diff(x)[0], atol=0.2)
    np.testing.assert_allclose((y[0] - y[1]) / (y[0] - y[2]), 0.25, atol=0.01)
    assert (y > 0).all() and (y < HEIGHT).all() and (x > 0).all() and (x < WIDTH).all()


def test_grid_lines_stand_at_the_values_that_they_name():
    svg = ElementTree.fromstring(chart(STEMS, {"x": np.array([0.0, 50.0, 100.0])}))
    lines = [float(e.get("y1")) for e in svg if e.get("class") == "grid"]
    labels = [float(e.text) for e in svg if e.tag == "text" and "sorted" not in e.text]
    y = [float(dot.get("cy")) for dot in circles(ElementTree.tostring(svg))]
    slope = (y[2] - y[0]) / 100
    np.testing.assert_allclose(lines, [y[0] + slope * x for x in labels], atol=0.2)
    assert 2 < len(labels) < 8


def test_undefined_values_leave_gaps():
    svg = chart(STEMS, {"x": np.array([math.nan, 1.0, math.inf])})
    assert [dot[0].text for dot in circles(svg)] == ["x, b<&: 1"]
    assert "undefined" in chart(STEMS, {"x": np.full(3, math.nan)})


@pytest.mark.parametrize("value", [0.0, 7.0, -1e-9])
def test_equal_values_can_be_drawn(value):
    assert len(circles(chart(STEMS, {"x": np.full(3, value)}))) == 3


def test_many_methods_differ_by_colour_or_dashes():
    looks = [(color(i), dash(i)) for i in range(3 * len(COLORS))]
    assert len(set(looks)) == len(looks)
