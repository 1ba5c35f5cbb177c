import itertools
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from refusion_jax.reporting.charts import COLORS, WIDTH, chart, color

STEMS = ("a", "b<&", "c")


def tagged(svg, tag, kind=None):
    root = ElementTree.fromstring(svg)
    return [x for x in root if x.tag == tag and x.get("class") == kind]


def circles(svg):
    return tagged(svg, "circle")


def numbers(elements, key):
    return np.array([float(element.get(key)) for element in elements])


def test_dots_name_their_method_pair_and_value():
    svg = chart(STEMS, {"x": np.array([3.0, 1.0, 2.0]), "y": np.array([1.0, 2.0, 3.0])})
    titles = [dot[0].text for dot in circles(svg)]
    assert titles[:3] == ["x, a: 3", "x, b<&: 1", "x, c: 2"]
    assert titles[3:] == ["y, a: 1", "y, b<&: 2", "y, c: 3"]
    assert [dot.get("data-pair") for dot in circles(svg)] == [*STEMS, *STEMS]


def test_places_are_linear_in_the_values_and_inside_the_box():
    svg = chart(STEMS, {"x": np.array([-5.0, 0.0, 15.0])})
    x, y = (numbers(circles(svg), k) for k in ("cx", "cy"))
    np.testing.assert_allclose((x[1] - x[0]) / (x[2] - x[0]), 0.25, atol=0.01)
    height = float(ElementTree.fromstring(svg).get("viewBox").split()[-1])
    assert (y > 0).all() and (y < height).all() and (x > 0).all() and (x < WIDTH).all()


def test_methods_have_strips_that_do_not_overlap():
    values = np.arange(40.0)
    svg = chart([str(i) for i in range(40)], {"x": values, "y": values})
    y = numbers(circles(svg), "cy")
    assert y[:40].max() + 6 < y[40:].min()
    # Dots of equal value stay apart: no neighbour has the same height.
    assert np.abs(np.diff(y[:40])).min() > 3


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 100.0), (1.7, 1.85), (1.2, 3.1), (-0.4, 0.9), (5.0, 6.9)]
)
def test_grid_lines_stand_at_the_values_that_they_name(low, high):
    svg = chart(STEMS, {"x": np.array([low, (low + high) / 2, high])})
    lines = numbers(tagged(svg, "line", "grid"), "x1")
    labels = [float(text.text) for text in tagged(svg, "text")]
    x = numbers(circles(svg), "cx")
    slope = (x[2] - x[0]) / (high - low)
    np.testing.assert_allclose(
        lines, [x[0] + slope * (v - low) for v in labels], atol=0.2
    )
    assert 3 <= len(labels) <= 8


def test_the_mean_and_its_interval_are_drawn_to_scale():
    svg = chart(STEMS, {"x": np.array([0.0, 2.0, 10.0])}, {"x": (2.0, 10.0)})
    x = numbers(circles(svg), "cx")
    (mean,), (interval,) = (tagged(svg, "line", kind) for kind in ("mean", "interval"))
    assert float(mean.get("x1")) == pytest.approx(x[0] + 0.4 * (x[2] - x[0]), abs=0.2)
    assert [float(interval.get(k)) for k in ("x1", "x2")] == [x[1], x[2]]
    undefined = chart(STEMS, {"x": np.arange(3.0)}, {"x": (math.nan, math.nan)})
    assert not tagged(undefined, "line", "interval")


def test_undefined_values_leave_gaps():
    svg = chart(STEMS, {"x": np.array([math.nan, 1.0, math.inf])})
    assert [dot[0].text for dot in circles(svg)] == ["x, b<&: 1"]
    assert "undefined" in chart(STEMS, {"x": np.full(3, math.nan)})


@pytest.mark.parametrize("value", [0.0, 7.0, -1e-9])
def test_equal_values_can_be_drawn(value):
    assert len(circles(chart(STEMS, {"x": np.full(3, value)}))) == 3


def test_neighbouring_methods_differ_by_colour():
    colours = [color(i) for i in range(3 * len(COLORS))]
    assert len(set(colours)) == len(COLORS)
    assert all(a != b for a, b in itertools.pairwise(colours))
