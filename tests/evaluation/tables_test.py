import html
import math
from html.parser import HTMLParser

import numpy as np
import pytest

from refusion_jax.evaluation.comparison import difference
from refusion_jax.evaluation.published import PublishedRow
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.table_formats import (
    to_html,
    to_latex,
    to_markdown,
    to_terminal,
)
from refusion_jax.evaluation.tables import (
    Cell,
    Row,
    Table,
    differences,
    intervals,
    summary,
)

NASTY = r"a|b_c*d`e<script>&\{$}#%~^"


def scores(*rows, keys=("sd", "mse")):
    return Scores(("p", "q"), keys, np.array(rows, np.float64))


METHODS = {
    "one": scores([10.0, 4.0], [30.0, 2.0]),
    "two": scores([10.0, 1.0], [10.0, 2.0]),
    "three": scores([1.0, 9.0], [4.0, math.nan]),
}


def test_means_marks_and_mean_ranks_are_those_of_hand():
    table = summary(METHODS)
    assert table.titles == ("Method", "SD", "MSE", "Mean rank")
    assert table.directions == (1, -1, -1)
    assert [row.name for row in table.rows] == ["one", "two", "three"]
    assert [row.cells for row in table.rows] == [
        (Cell("20.00", "best"), Cell("3.000", "second"), Cell("1.50", "best")),
        (Cell("10.00", "second"), Cell("1.500", "best"), Cell("1.50", "best")),
        (Cell("2.50"), Cell("9.000 (1 of 2)"), Cell("3.00", "second")),
    ]


def test_means_that_read_equal_are_marked_equally():
    table = summary({"x": scores([10.001, 1], [10, 1]), "y": scores([10, 1], [10, 1])})
    assert [row.cells[0] for row in table.rows] == [Cell("10.00", "best")] * 2
    assert [row.cells[-1].text for row in table.rows] == ["1.50", "1.50"]


def test_one_method_alone_is_neither_marked_nor_ranked():
    table = summary({"one": METHODS["one"]})
    assert table.titles == ("Method", "SD", "MSE")
    assert {cell.mark for row in table.rows for cell in row.cells} == {""}


def test_a_metric_defined_nowhere_is_a_dash():
    nowhere = scores([math.nan, 1], [math.nan, 1])
    assert summary({"x": nowhere}).rows[0].cells[0].text == "- (0 of 2)"


def test_published_rows_are_last_and_never_marked():
    rows = [
        PublishedRow("theirs", "Table 9", {"sd": 99.0, "ag": 1.0}),
        PublishedRow("of other columns", "Table 8", {"ag": 1.0}),
    ]
    table = summary(METHODS, rows)
    assert [row.name for row in table.rows if row.source] == ["theirs"]
    assert table.rows[-1].cells == (Cell("99.00"), Cell("-"), Cell("-"))
    assert table.rows[0].cells[0].mark == "best"
    for rendered in (to_markdown(table), to_latex(table), to_html(table)):
        assert rendered.count("published, not measured: Table 9") == 1


def test_differences_name_both_methods_and_the_counts():
    one, two = (METHODS[name].column("mse") for name in ("one", "two"))
    found = difference(one, two, higher_is_better=False)
    table = differences({"one": {"mse": found}}, "two")
    assert table.titles[0] == "Method minus two"
    (row,) = table.rows
    assert row.name == "one"
    assert [cell.text for cell in row.cells] == [
        "MSE", "+1.500", "+0.000 to +3.000", "0 : 1 (1 equal)", "1",
    ]  # fmt: skip


def test_intervals_count_what_they_decide():
    """Constant differences have intervals of no width; opposite ones hold 0."""
    three = [
        Scores(("p", "q", "r"), ("sd", "mse", "en"), np.array(rows, np.float64))
        for rows in ([[3, 9, 1]] * 3, [[1, 5, 2], [1, 5, 0], [1, 5, 1]])
    ]
    compared = {
        key: difference(*(x.column(key) for x in three), higher_is_better=key != "mse")
        for key in three[0].keys
    }
    table = intervals({"one": compared}, "two")
    assert table.titles == (
        "Method minus two", "SD", "MSE", "EN", "Better : worse : open"
    )  # fmt: skip
    assert table.directions == (1, -1, 1, 0)
    (row,) = table.rows
    assert row.name == "one"
    assert [cell.text for cell in row.cells[:2]] == [
        "+2.000 (+2.000 to +2.000)",
        "+4.000 (+4.000 to +4.000)",
    ]
    # More SD is better, more MSE worse, and EN is as often above as below.
    assert row.cells[-1].text == "1 : 1 : 1"


@pytest.fixture
def nasty():
    cells = (Cell(NASTY, "best"), Cell("1.00", "second"))
    return Table((NASTY, NASTY, "x"), (1, -1), (Row(NASTY, cells),), (NASTY,))


class Text(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_html_shows_names_as_they_are(nasty):
    page = Text(to_html(nasty))
    assert "script" not in page.tags
    assert sum(text.strip() == NASTY for text in page.text) == 5
    assert html.escape(NASTY) in to_html(nasty)


def test_markdown_keeps_its_columns_whatever_a_name_holds(nasty):
    head, rule, line, _, notes = to_markdown(nasty).splitlines()
    for text in (head, rule, line):
        assert text.replace(r"\|", "").count("|") == 4
    assert r"a\|b\_c\*d\`e\<script\>\&\\\{\$\}\#%\~^" in line
    assert line.endswith("| *1.00* |") and "**" in line
    assert "Best: bold" in notes


def test_a_line_break_in_a_name_breaks_no_row():
    table = Table(("m",), (), (Row("a\nb\r\n% c", ()),), ("n\nm",))
    assert len(to_markdown(table).splitlines()) == 5
    assert r"a b \% c" in to_latex(table)
    assert "% n m\n" in to_latex(table)


def test_latex_escapes_every_special_character(nasty):
    lines = to_latex(nasty).splitlines()
    (row,) = [line for line in lines if r"\textbf" in line]
    escaped = (
        r"a\textbar{}b\_c*d`e\textless{}script\textgreater{}\&\textbackslash{}\{\$\}\#"
        r"\%\textasciitilde{}\textasciicircum{}"
    )
    assert row == rf"{escaped} & \textbf{{{escaped}}} & \underline{{1.00}} \\"
    assert r"x $\downarrow$ \\" in lines[4] or r"x $\downarrow$ \\" in "".join(lines)
    assert lines[1] == r"\begin{tabular}{lrr}"


def test_a_terminal_sees_names_values_and_notes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cells = (Cell("6.7", "best"), Cell("0.5"))
    table = Table(
        ("Method", "EN", "MSE"), (1, -1), (Row("ours", cells),), ("One pair.",)
    )
    lines = to_terminal(table).splitlines()
    assert ["Method", "EN \u2191", "MSE \u2193"] == [
        x.strip() for x in lines[1].strip("\u2503").split("\u2503")
    ]
    assert ["ours", "6.7", "0.5"] == [
        x.strip() for x in lines[3].strip("\u2502").split("\u2502")
    ]
    assert lines[-1].strip() == "One pair."


def test_a_terminal_sees_names_as_they_are(nasty, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    bracketed = nasty._replace(titles=("[/x]", "[old]", "x"), notes=("[b]",))
    for table in (nasty, bracketed):
        shown = to_terminal(table)
        assert shown.endswith("\n")
        for text in (*table.titles, *table.notes, table.rows[0].name):
            assert text in shown


def test_a_terminal_is_told_what_is_published(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    row = Row("theirs", (Cell("9.9"),), "Table 9")
    shown = to_terminal(Table(("Method", "EN"), (1,), (row,), ()))
    assert "theirs (published, not measured: Table 9)" in shown


@pytest.mark.parametrize("width", [20, 97, 98, 120])
def test_no_value_is_torn_on_a_narrow_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    value = "-123.0026 (-1234.5678 to +1234.5678)"
    row = Row("preset=authors_script", (Cell(value),) * 6)
    table = Table(
        ("Method", "EN", "SD", "SF", "AG", "SCD", "VIF"), (1,) * 6, (row,), ()
    )
    words = to_terminal(table).replace("|", " ").replace("\u2502", " ").split()
    for word in value.split():
        assert words.count(word) == 6
    is_markdown = "| --- |" in to_terminal(table)
    assert is_markdown == (width < 98)


def test_a_narrow_terminal_sees_whole_names_in_several_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    name = "preset=authors_script"
    table = Table(("variant", "EN"), (1,), (Row(name, (Cell("6.7"),)),), ())
    lines = to_terminal(table).splitlines()
    parts = [x.split("\u2502")[1].strip() for x in lines if x.startswith("\u2502")]
    assert "".join(parts) == name
