import json

import numpy as np
import pytest
from PIL import Image

from refusion_jax.cli import main
from refusion_jax.commands.evaluate import EXAMPLES


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The current folder: a, b and fused, each with pictures 1 and 2."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("a", "b", "fused"):
        (tmp_path / folder).mkdir()
        for stem in ("1", "2"):
            picture = rng.integers(0, 256, (6, 8), np.uint8)
            Image.fromarray(picture).save(tmp_path / folder / f"{stem}.png")
    return tmp_path


def run(*arguments):
    return main(["evaluate", "a", "b", "fused", *arguments])


def test_the_contract_of_the_files(folders, capsys):
    assert run("--columns", "en,sd", "--task", "ivif", "-o", "new/out") == 0
    out = folders / "new" / "out"
    content = json.loads((out / "metrics.json").read_text())
    assert set(content) == {"images", "mean"}
    assert set(content["images"]) == {"1", "2"}
    for key in ("en", "sd"):
        values = [content["images"][stem][key] for stem in ("1", "2")]
        np.testing.assert_allclose(content["mean"][key], np.mean(values))
    table = (out / "table.md").read_text()
    assert table.startswith("| Method | EN ↑ | SD ↑ |\n")
    assert f"| fused | {content['mean']['en']:.3f} |" in table
    printed, errors = capsys.readouterr()
    assert printed == f"{table}The report is at new/out/report.html\n"
    assert not errors
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert (out / "table.tex").exists() and (out / "metrics.csv").exists()


def test_every_problem_is_a_line_and_exits_with_2(folders, capsys):
    (folders / "fused" / "1.png").unlink()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folders / "b" / "2.png")
    assert run("--columns", "en", "-o", "out") == 2
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "refusion: 1: no picture in fused (fused).",
        "refusion: 2: 4x4 pixels in source b (b), 8x6 in source a (a).",
    ]
    assert not out


def test_baselines_and_truth_are_rows_and_columns(folders, capsys):
    truth = ("--baselines", "average,source_a", "--ground-truth", "a", "-o", "out")
    assert run("--columns", "mse", *truth) == 0
    methods = json.loads((folders / "out" / "methods.json").read_text())
    assert list(methods) == ["fused", "average", "source_a"]
    assert methods["source_a"]["mean"]["psnr_truth"] is None  # it is the truth
    first, second = (
        np.asarray(Image.open(folders / "a" / f"{stem}.png"), float) for stem in "12"
    )
    other = [np.asarray(Image.open(folders / "b" / f"{x}.png"), float) for x in "12"]
    errors = [
        np.mean((np.floor((a + b + 1) / 2) - a) ** 2)
        for a, b in zip((first, second), other, strict=True)
    ]
    expected = np.mean([10 * np.log10(255**2 / error) for error in errors])
    assert methods["average"]["mean"]["psnr_truth"] == pytest.approx(expected)
    assert "PSNR to the true picture" in capsys.readouterr().out


def test_a_folder_that_is_named_like_a_baseline_is_refused(folders, capsys):
    (folders / "fused").rename(folders / "average")
    arguments = ["evaluate", "a", "b", "average", "--baselines=average", "-o", "out"]
    assert main(arguments) == 2
    assert "got 'average' twice; rename the folder average" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--baselines", "median", "-o", "out"), "expected baselines among average"),
        (("--columns", "some", "-o", "out"), "expected metrics among en, sd"),
        (("--task", "x", "-o", "out"), "expected a task among ivif"),
        (("-o", "a/1.png"), "exists"),
    ],
)
def test_wrong_arguments_exit_with_2_and_a_sentence(
    folders, capsys, arguments, message
):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert message in err and err.startswith("refusion: ") and err.count("\n") == 1
    assert not out and not (folders / "out").exists()


def test_missing_folders_exit_with_2(folders, capsys):
    assert main(["evaluate", "a", "b", "none", "-o", "out"]) == 2
    assert "got none at none" in capsys.readouterr().err


def test_exhausted_memory_exits_with_1_and_a_sentence(folders, capsys, monkeypatch):
    def exhaust(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nmore lines")

    monkeypatch.setattr("refusion_jax.metrics.compute", exhaust)
    assert run("--columns", "en", "-o", "out") == 1
    assert capsys.readouterr().err == "refusion: RESOURCE_EXHAUSTED: out of memory\n"


def test_help_shows_examples(capsys):
    assert main(["evaluate", "--help"]) == 0
    assert EXAMPLES in capsys.readouterr().out


def test_without_a_folder_to_write_to_the_usage_is_shown(capsys):
    assert run() == 2
    assert capsys.readouterr().err.startswith("usage: refusion evaluate")


def test_files_are_sent_to_the_command_that_scores_one(folders, capsys):
    files = [f"{x}/1.png" for x in ("a", "b", "fused")]
    assert main(["evaluate", *files, "-o", "scores"]) == 2
    assert "refusion metrics A B FUSED" in capsys.readouterr().err
