"""The evaluating binary as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    rng = np.random.default_rng(0)
    for side in ("a", "b", "theirs"):
        (folder / side).mkdir()
        for stem in ("1", "2", "3"):
            pixels = rng.integers(0, 256, (6, 8), np.uint8)
            Image.fromarray(pixels).save(folder / side / f"{stem}.png")
    return folder


def run(folder, *flags):
    command = [sys.executable, "experiments/evaluate.py", f"--out={folder / 'out'}"]
    command += [f"--source_a={folder / 'a'}", f"--source_b={folder / 'b'}"]
    return subprocess.run(
        [*command, "--columns=sd,mse", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_methods_are_compared_in_order(folder):
    done = run(
        folder,
        f"--method=x={folder / 'theirs'}",
        f"--method={folder / 'theirs'}",
        "--baselines=maximum,average",
        "--published=msrs",
        "--reference=average",
        "--report_images=1",
        "--resamples=50",
    )
    assert not done.stderr and done.returncode == 0
    methods = json.loads((folder / "out" / "methods.json").read_text())
    assert list(methods) == ["x", "theirs", "maximum", "average"]
    assert methods["x"] == methods["theirs"]
    # The mean of the squared distances to both is least half-way between them.
    mse = {name: content["mean"]["mse"] for name, content in methods.items()}
    assert mse["average"] == min(mse.values())
    lines = (folder / "out" / "table.md").read_text().splitlines()
    assert lines[5].startswith("| average |") and "**" in lines[5]
    published = (
        "| ReFusion, MSRS (published, not measured: Table 1, 361 pairs) | 42.89 |"
    )
    assert any(line.startswith(published) for line in lines)
    assert done.stdout.startswith("\n".join(lines))


def test_flags_that_make_no_sense_exit_with_1_and_a_sentence(folder):
    done = run(folder, f"--method=maximum={folder / 'a'}", "--baselines=maximum")
    assert done.returncode == 1
    assert done.stderr == (
        "evaluate: expected a name of its own for each method, got 'maximum' twice; "
        "write NAME=PATH.\n"
    )
