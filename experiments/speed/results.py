"""Tables of results, as JSON and as Markdown, with the machine they come from."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refusion_jax.files.atomic import replace_file
from refusion_jax.training import machine
from speed.contest import Outcome
from speed.rounds import Timing

LIBRARIES = ("refusion-jax", "jax", "jaxlib", "numpy", "torch", "onnxruntime")
Row = dict[str, Any]


class Table(NamedTuple):
    """A table of results.

    Attributes:
      title: what was measured.
      rows: cells by column; the first row has all columns.
      notes: sentences below it.
    """

    title: str
    rows: list[Row]
    notes: Sequence[str] = ()


def contest_table(
    title: str,
    outcome: Outcome,
    *,
    unit: str,
    targets: Mapping[str, float] = {},
    differences_of: str = "values",
) -> Table:
    """Makes the table of a contest, each contender compared with the first.

    Args:
      title: of the table.
      outcome: of `contest.compete`.
      unit: of work, "picture" or "step".
      targets: least ratio to the first contender's time, by name.
      differences_of: what was compared, for the note.

    Returns:
      One row per contender.
    """
    largest = {
        name: max(of_values.values(), default=0.0)
        for name, of_values in outcome.differences.items()
    }
    notes = [
        "Ratios and targets are times the first row's.",
        f"{differences_of} agree with the first row's; the largest difference is "
        f"{max(largest.values()):.1e}.",
    ]
    notes += [f"Left out: {k} ({v})." for k, v in outcome.left_out.items()]
    return Table(title, timing_rows(outcome.timings, unit, targets), notes)


def timing_rows(
    timings: Sequence[Timing], unit: str, targets: Mapping[str, float] = {}
) -> list[Row]:
    """Makes one row per contender; ratios are to the first one's median.

    Args:
      timings: of the rounds.
      unit: of work, "picture" or "step".
      targets: least ratio by name.

    Returns:
      Rows.
    """
    return [
        {
            "contender": timing.name,
            f"seconds per {unit}": timing.median,
            "lowest": min(timing.seconds),
            "highest": max(timing.seconds),
            "ratio": timing.median / timings[0].median,
            "CPU seconds": timing.median_cpu,
            "CPU ratio": timing.median_cpu / timings[0].median_cpu,
            "first run": timing.first,
            "target": f"at least {targets[timing.name]:g}"
            if timing.name in targets
            else "",
        }
        for timing in timings
    ]


def to_markdown(table: Table) -> str:
    """Formats a table with its title and notes.

    Args:
      table: at least one row.

    Returns:
      Lines that end with a newline.
    """
    columns = [*table.rows[0]]
    body = [[_cell(row.get(column)) for column in columns] for row in table.rows]
    lines = [columns, ["---"] * len(columns), *body]
    text = [f"**{table.title}**", ""]
    text += ["| " + " | ".join(line) + " |" for line in lines]
    for note in table.notes:
        text += ["", note]
    return "\n".join(text) + "\n"


def _cell(value: Any) -> str:
    """Rounds to three significant digits, without an exponent for large numbers."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def describe_machine() -> dict[str, Any]:
    """Collects processor, cores, operating system, versions, commit and load."""
    # Without JAX's devices: a GPU's memory is the contenders'.
    found = machine.describe_machine(LIBRARIES)
    versions = {name: version for name, version in found["versions"].items() if version}
    return {
        "processor": found["processor"],
        "cores": found["cores"],
        "system": f"{platform.system()} {platform.machine()}",
        "python": found["python"],
        "versions": versions,
        "commit": found["commit"] or "unknown",
        "load": os.getloadavg()[0],
    }


def write(
    out: Path,
    part: str,
    tables: Sequence[Table],
    *,
    rounds: int,
    before: Mapping[str, Any],
) -> str:
    """Writes tables as JSON, and as Markdown beside it.

    Args:
      out: the JSON file; missing folders are made.
      part: of the benchmark.
      tables: its results.
      rounds: turns behind each median.
      before: `describe_machine` before the first round.

    Returns:
      The Markdown.
    """
    after = os.getloadavg()[0]
    content = {
        "part": part,
        "rounds": rounds,
        "machine": {**before, "load_after": after},
        "tables": [table._asdict() for table in tables],
    }
    versions = ", ".join(f"{name} {v}" for name, v in before["versions"].items())
    head = (
        f"`python experiments/benchmark.py {part}`: medians of {rounds} interleaved "
        "round(s), after a first run that loads and compiles. "
        f"{before['processor']}, cores: {before['cores']}, {before['system']}; "
        f"Python {before['python']}, {versions}; commit {before['commit']}; load "
        f"{before['load']:.1f} before, {after:.1f} after.\n"
    )
    markdown = "\n".join([head, *map(to_markdown, tables)])
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, (json.dumps(content, indent=2) + "\n").encode())
    replace_file(out.with_suffix(".md"), markdown.encode())
    return markdown
