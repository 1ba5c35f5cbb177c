import json

import pytest

from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.evaluation.tables import Cell
from refusion_jax.runs import ablation
from refusion_jax.runs.ablation import COLUMNS, table


def test_means_stand_with_the_smallest_and_the_largest_of_several_seeds():
    one, other = (dict.fromkeys(COLUMNS, number) for number in (0.25, 1.0))
    made = table({"epochs=1": [one, other], "epochs=2": [one]})
    assert made.titles == ("variant", *COLUMNS.values())
    spread, alone = (dict(zip(COLUMNS, row.cells, strict=True)) for row in made.rows)
    assert spread["gradient_entropy"] == Cell("0.625 (0.250 to 1.000)")
    assert spread["focus_psnr"] == Cell("0.6 (0.2 to 1.0)")  # decibels: one digit
    assert alone["gradient_entropy"] == Cell("0.250")
    assert dict(zip(COLUMNS, made.directions, strict=True))["focus_psnr"] == 1
    assert made.notes == ("Means over the seeds (smallest to largest).",)
    assert table({"epochs=2": [one]}).notes == ()


@pytest.fixture
def untrained(monkeypatch):
    """Runs end at once; their numbers are their seeds."""
    monkeypatch.setattr(ablation, "split_cpu", lambda _: None)
    monkeypatch.setattr(ablation, "write_demo_pairs", lambda _: None)
    monkeypatch.setattr(
        ablation,
        "run_variant",
        lambda config, *_: dict.fromkeys(COLUMNS, config.run.seed),
    )


def test_the_reader_sees_another_format_than_the_files(untrained, tmp_path):
    told = []
    shown = ablation.ablate(
        ["epochs=1"],
        tmp_path,
        seeds=2,
        tell=told.append,
        show=lambda made: f"{len(made.rows)} row\n",
    )
    assert shown == "1 row\n"
    assert told == ["epochs=1, seed 0", "epochs=1, seed 1"]
    results = json.loads((tmp_path / "ablation.json").read_text())
    assert [run["focus_psnr"] for run in results["epochs=1"]] == [0, 1]
    assert (tmp_path / "table.md").read_text() == to_markdown(table(results))
