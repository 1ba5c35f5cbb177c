"""The benchmark's own laws, with contenders that compute next to nothing."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot
from speed import contest, memory, plots, scale
from speed.contest import Entry, Worker, compete, time_here
from speed.results import (
    Table,
    contest_table,
    describe_machine,
    timing_rows,
    to_markdown,
    write,
)
from speed.rounds import Check, Timing, Turn, check_values, interleave

from refusion_jax.extras import version_of

ROOT = Path(__file__).parents[2]
FAKE = '''
import os
import numpy as np

class Fake:
    """Notes each call, and gives the value that it is told to."""

    def __init__(self, name, log, value=1.0, fails=False):
        self.name, self.log, self.value, self.fails = name, log, value, fails

    def note(self, what):
        print("printed by a library")
        with open(self.log, "a") as log:
            print(what, self.name, os.environ.get("SETTING"), file=log)

    def first(self):
        self.note("first")
        return {"value": np.asarray(self.value)}

    def run(self):
        if self.fails:
            os._exit(3)
        self.note("run")

class Hungry(Fake):
    """Holds 64 MB while it runs."""

    def run(self):
        np.ones(1 << 23)

def needs_a_library(**arguments):
    import a_library_that_is_not_there
'''
CHECKS = {"value": Check(1e-3, relative=True)}


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Makes entries of fake contenders; their log is read by the second function."""
    (tmp_path / "fakes.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(contest, "LEAST_SECONDS", 0)
    log = tmp_path / "log"

    def entry(name, factory="Fake", environment=None, **arguments):
        arguments = {"name": name, "log": str(log), **arguments}
        return Entry(name, f"fakes:{factory}", arguments, environment or {})

    return entry, lambda: [line.split() for line in log.read_text().splitlines()]


def test_rounds_are_interleaved():
    turns = []

    def contender(name, seconds):
        return lambda: turns.append(name) or seconds

    contenders = {"a": contender("a", 1.0), "b": contender("b", 2.0)}
    assert interleave(contenders, 3) == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert turns == ["a", "b"] * 3


def test_a_timing_is_the_median_of_its_rounds():
    turns = [Turn(9.0, 4.0), Turn(1.0, 6.0), Turn(2.0, 5.0)]
    timing = Timing("a", 10.0, turns)
    assert (timing.median, timing.median_cpu) == (2.0, 5.0)
    assert Timing("a", 10.0, [*turns, Turn(3.0, 4.0)]).median == 2.5


def test_work_in_this_process_is_timed_by_the_unit(monkeypatch):
    ticks, cpu_ticks = iter(range(100)), iter(range(0, 100, 2))
    clock = SimpleNamespace(
        perf_counter=lambda: next(ticks), process_time=lambda: next(cpu_ticks)
    )
    monkeypatch.setattr(contest, "time", clock)
    (timing,) = time_here({"a": lambda: 4}, 2)
    assert timing == Timing("a", 0.25, [Turn(0.25, 0.5)] * 2)


@pytest.mark.parametrize(("relative", "expected"), [(False, 0.4), (True, 0.1)])
def test_differences_are_the_largest_or_relative_in_norm(relative, expected):
    values, reference = {"x": np.array([3.3, 3.6])}, {"x": np.array([3.0, 4.0])}
    differences = check_values("b", values, reference, {"x": Check(1, relative)})
    assert differences["x"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x": np.full(2, 1.1)}, "expected x of b within 0.01 of ours, got a diff"),
        ({"x": np.full(2, np.nan)}, "difference of nan; nothing is timed before"),
        ({"x": np.ones(3)}, "difference of inf"),
        ({"y": np.ones(2)}, "expected x of b, got y."),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        check_values("b", values, {"x": np.ones(2)}, {"x": Check(0.01, False)})


def test_contenders_run_first_and_then_in_turns_each_in_its_process(fakes, tmp_path):
    entry, log = fakes
    entries = [entry("a"), entry("b", environment={"SETTING": "tuned"})]
    outcome = compete(entries, CHECKS, rounds=2, folder=tmp_path)
    a, b = ["a", "None"], ["b", "tuned"]
    assert log() == [
        ["first", *a],
        ["first", *b],
        # The first of a turn is not timed.
        *[["run", *a], ["run", *a], ["run", *b], ["run", *b]] * 2,
    ]
    assert [timing.name for timing in outcome.timings] == ["a", "b"]
    assert all(len(timing.seconds) == 2 for timing in outcome.timings)
    assert outcome.differences["b"] == {"value": 0}


def test_nothing_is_timed_when_values_differ(fakes, tmp_path):
    entry, log = fakes
    entries = [entry("a"), entry("b", value=1.01)]
    with pytest.raises(ValueError, match="expected value of b within"):
        compete(entries, CHECKS, rounds=2, folder=tmp_path)
    assert {what for what, *_ in log()} == {"first"}


def test_a_contender_without_its_library_is_left_out_and_named(fakes, tmp_path):
    entry, _ = fakes
    entries = [entry("a"), entry("b", factory="needs_a_library")]
    outcome = compete(entries, CHECKS, rounds=1, folder=tmp_path)
    assert [timing.name for timing in outcome.timings] == ["a"]
    table = contest_table("Work", outcome, unit="step")
    assert table.notes[-1] == (
        "Left out: b (No module named 'a_library_that_is_not_there')."
    )


def test_a_contender_that_dies_or_fails_is_an_error(fakes, tmp_path):
    entry, _ = fakes
    with pytest.raises(RuntimeError, match="got a process that ended with 3"):
        compete([entry("a", fails=True)], CHECKS, rounds=1, folder=tmp_path)
    with pytest.raises(RuntimeError, match="AttributeError in make: module 'fakes'"):
        compete([entry("a", factory="No")], CHECKS, rounds=1, folder=tmp_path)


def test_memory_of_further_pixels_leaves_base_costs_out():
    def row(name, base, slope, pixels):
        return {"contender": name, "bytes per pixel": base / pixels + slope}

    of_sizes = {
        pixels: [row("ours", 1e8, 400, pixels), row("theirs", 5e7, 2000, pixels)]
        for pixels in (300_000, 60_000)
    }
    rows = memory.further_pixels(of_sizes).rows
    assert [row["bytes"] for row in rows] == pytest.approx([400, 2000])
    assert [row["ratio"] for row in rows] == pytest.approx([1, 5])


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of memory")
def test_the_peak_of_memory_is_what_was_held_at_most(fakes, tmp_path):
    _, factory, arguments, _ = fakes[0]("a", factory="Hungry")
    with Worker() as worker:
        worker.ask("make", factory=factory, arguments=arguments)
        start = worker.ask("memory")["now"]
        worker.ask("time", least_seconds=0)
        peak = worker.ask("memory")["peak"] - start
        worker.ask("forget_peak")
        later = worker.ask("memory")["peak"] - start
    # Linux counts in batches of pages.
    assert peak == pytest.approx(2**26, rel=0.1)
    assert later < 2**24


def test_rows_compare_with_the_first():
    turns = [Turn(2.0, 4.0), Turn(1.0, 2.0), Turn(4.0, 4.0)]
    timings = [Timing("a", 5.0, turns), Timing("b", 8.0, [Turn(6.0, 6.0)])]
    rows = timing_rows(timings, "step", {"b": 2.5})
    assert rows[0]["ratio"] == 1
    assert rows[1] == {
        "contender": "b",
        "seconds per step": 6.0,
        "lowest": 6.0,
        "highest": 6.0,
        "ratio": 3.0,
        "CPU seconds": 6.0,
        "CPU ratio": 1.5,
        "first run": 8.0,
        "target": "at least 2.5",
    }


def test_tables_have_three_digits_and_empty_cells():
    rows = [{"name": "a", "x": 0.123456, "y": 123456.7}, {"name": "b", "x": None}]
    assert to_markdown(Table("Title", rows, ["A note."])) == (
        "**Title**\n\n"
        "| name | x | y |\n"
        "| --- | --- | --- |\n"
        "| a | 0.123 | 123,457 |\n"
        "| b |  |  |\n"
        "\nA note.\n"
    )


def test_results_are_written_as_json_and_markdown(tmp_path):
    machine = {
        "processor": "P",
        "cores": 2,
        "system": "S",
        "python": "3",
        "versions": {"jax": "1"},
        "commit": "abc",
        "load": 0.5,
    }
    table = Table("Title", [{"name": "a"}])
    out = tmp_path / "results" / "part.json"
    markdown = write(out, "part", [table], rounds=3, before=machine)
    content = json.loads(out.read_text())
    assert content["tables"] == [
        {"title": "Title", "rows": [{"name": "a"}], "notes": []}
    ]
    assert content["machine"]["commit"] == "abc"
    assert out.with_suffix(".md").read_text() == markdown
    assert "medians of 3 interleaved round(s)" in markdown
    assert "P, cores: 2, S; Python 3, jax 1; commit abc; load 0.5 before" in markdown


def test_a_stop_while_results_are_written_leaves_those_before(tmp_path, monkeypatch):
    def stop(path, content):
        with open(path, "wb") as file:
            file.write(content[:9])
        raise KeyboardInterrupt

    out = tmp_path / "part.json"
    out.write_text("before")
    monkeypatch.setattr(Path, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        write(out, "part", [Table("T", [{}])], rounds=1, before=describe_machine())
    assert {x.name: x.read_text() for x in tmp_path.iterdir()} == {out.name: "before"}


def test_the_machine_is_described_by_what_it_has():
    found = describe_machine()
    assert [*found] == [
        *("processor", "cores", "system", "python", "versions", "commit", "load")
    ]
    assert all(isinstance(x, str) for x in found["versions"].values())
    assert found["versions"]["jax"] == version_of("jax")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["speed"],
            "Expected one of inference, training, attribution, joint, metrics,",
        ),
        (["inference", "--sizes=640"], "expected WIDTHxHEIGHT such as 640x480, got"),
    ],
)
def test_a_bad_command_line_is_one_sentence(tmp_path, arguments, message):
    command = [sys.executable, "experiments/benchmark.py", f"--out={tmp_path}/out.json"]
    result = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert message in result.stderr
    assert not (tmp_path / "out.json").exists()


def test_plots_show_every_row(tmp_path, monkeypatch):
    def row(seconds, **values):
        return {"seconds": seconds, "peak, MiB": 9 * seconds, **values}

    tables = [
        Table("Pixels", [row(2.0, megapixels=1), row(4.0, megapixels=2)]),
        Table("Batches", [row(1.0, batch=n, work=w) for w in "FG" for n in (1, 8)]),
        Table("Steps", [row(1.0, mode="exact", **{"inner steps": 1})]),
    ]
    figures = []
    monkeypatch.setattr(pyplot, "close", figures.append)
    plots.draw(tables, tmp_path / "scale.svg")
    lines = [
        [line.get_xydata().tolist() for line in axis.lines] for axis in figures[0].axes
    ]
    assert lines[:3] == [[[[1, 2], [2, 4]]], 2 * [[[1, 1], [8, 1]]], [[[1, 1]]]]
    assert lines[3] == [[[1, 18], [2, 36]]]  # below: the peaks
    assert [line.get_label() for line in figures[0].axes[1].lines] == ["F", "G"]
    assert (tmp_path / "scale.svg").read_text().count(">Batches<") == 1


def test_a_case_that_fails_does_not_lose_the_others():
    def too_large():
        raise RuntimeError("did memory run out?")

    table = scale.table_of("Sizes", {"1": lambda: {"size": 1}, "2": too_large})
    assert table.rows == [{"size": 1}]
    assert table.notes[-1] == "2: did memory run out?"
    with pytest.raises(RuntimeError, match="memory"):
        scale.table_of("Sizes", {"2": too_large})
