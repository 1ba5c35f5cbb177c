"""Line charts: where points lie, what is left out, how lines are told apart."""

from xml.etree import ElementTree

import pytest

from refusion_jax.reporting.charts import COLORS
from refusion_jax.reporting.lines import HEIGHT, legend, line_chart


def groups(svg):
    """Returns each line's name, stroke, mean points and band points."""
    found = []
    for group in ElementTree.fromstring(svg).iter("g"):
        band, mean = (
            [tuple(map(float, point.split(","))) for point in x.get("points").split()]
            for x in (group.find("polygon"), group.find("polyline"))
        )
        found.append((group.find("title").text, group.get("stroke"), mean, band))
    return found


def test_points_lie_where_their_values_say():
    ((name, _, mean, band),) = groups(line_chart({"A & B": [[0, 2], [0, 4]]}))
    assert name == "A & B"
    (left, zero), (right, three) = mean
    assert left < right
    # The band: along the largest values, and back along the smallest.
    assert [x for x, _ in band] == [left, right, right, left]
    (_, start), (_, four), (_, two), (_, end) = band
    assert start == end == zero and four < three < two < zero < HEIGHT
    assert (zero - three) / (zero - four) == pytest.approx(3 / 4, abs=0.01)


def test_what_is_not_finite_and_epochs_without_runs_are_left_out():
    nan = float("nan")
    lines = {"a": [[1, nan, 3], [2]], "none": [], "nan": [[nan]]}
    first, none, undefined = groups(line_chart(lines))
    assert len(first[2]) == 2 and none[2] == undefined[2] == []
    assert "undefined" in line_chart({}) and "undefined" in line_chart({"a": [[nan]]})


def test_lines_of_one_colour_differ_in_their_dashes():
    names = [str(number) for number in range(len(COLORS) + 1)]
    svg = line_chart({name: [[1, 2]] for name in names})
    lines = [x.attrib for x in ElementTree.fromstring(svg).iter("polyline")]
    assert lines[0]["stroke-dasharray"] != lines[-1]["stroke-dasharray"]
    assert groups(svg)[0][1] == groups(svg)[-1][1]
    assert legend(names).count("<span>") == len(names)
    assert "&lt;b&gt;" in legend(["<b>"])
