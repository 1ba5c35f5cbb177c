"""The preparing binary as a user runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip(
    "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def interruptible():
    """A shell ignores SIGINT for what it starts in the background, children inherit it.

    These tests may be run so; what has a handler here is at its default in a child.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(*flags):
    return subprocess.Popen(
        [sys.executable, "experiments/prepare.py", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*flags):
    process = start(*flags)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


@pytest.fixture
def source(tmp_path):
    """Two splits in a published layout, with a broken file and a leak."""
    generator = np.random.default_rng(0)
    for split, stems in (("train", "123"), ("test", "34")):
        for side in ("ir", "vi"):
            folder = tmp_path / "MSRS" / split / side
            folder.mkdir(parents=True)
            for stem in stems:
                pixels = generator.integers(0, 256, (130, 140, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{stem}.png")
    broken = tmp_path / "MSRS" / "train" / "vi" / "2.png"
    broken.write_bytes(broken.read_bytes()[:5000])
    return tmp_path / "MSRS"


def test_a_set_is_prepared_counted_and_reported_again(source, tmp_path):
    flags = ("--dataset=msrs", f"--data_dir={tmp_path / 'data'}")
    code, output, errors = run(*flags, f"--source_dir={source}")
    assert code == 0, errors
    broken = source / "train" / "vi" / "2.png"
    assert f"      expected a readable picture, got {broken} (" in output
    lines = [line for line in output.splitlines() if "readable" not in line]
    assert lines == [
        f"msrs: prepared in {tmp_path}/data/fusion_pairs/msrs/1.0.0",
        "  train: 2 pairs, 140x130 pixels",
        "    a: 0 grey, 2 colour, b: 0 grey, 2 colour",
        "    patches of 128 at stride 200: 2 kept of 2",
        "    skipped: 1",
        "  test: 2 pairs, 140x130 pixels",
        "    a: 0 grey, 2 colour, b: 0 grey, 2 colour",
        "    patches of 128 at stride 200: 2 kept of 2",
        "    skipped: 0",
        "  shared by train and test: 1",
        "    the same stem 3 is in train (3) and test (3)",
    ]
    assert "train: 100%" in errors  # the progress bar
    assert run(*flags)[:2] == (0, output)


def test_wrong_usage_is_one_sentence(tmp_path):
    for flags, message in (
        ((), "expected a data set, got none"),
        (("--dataset=sice",), "expected the pictures of SICE, got no folder to read"),
        (
            ("--dataset=msrs", "--source_a=x"),
            "expected --source-dir with the set msrs, got two folders of pictures",
        ),
    ):
        code, output, errors = run(*flags, f"--data_dir={tmp_path}")
        assert (code, output) == (1, "")
        assert errors.startswith(f"prepare: {message}") and errors.count("\n") == 1


def test_the_help_names_the_rules_that_are_taken():
    _, output, _ = run("--help")
    text = " ".join(output.split())
    assert "<none|crop|resize|resize-largest|register>" in text
    assert "full, min-max, percentile, auto or LOW:HIGH" in text


def test_the_catalogue_is_listed():
    code, output, _ = run("--list")
    assert code == 0
    assert "roadscene: RoadScene; 221 pairs" in output
    assert "in the paper: train 1,083, test 361" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(tmp_path, number):
    """Stopped while it waits for a file that never comes: a pipe without a writer."""
    for side in "ab":
        (tmp_path / side).mkdir()
        os.mkfifo(tmp_path / side / "1.png")
    data = tmp_path / "data"
    process = start(
        "--dataset=folder",
        f"--source_a={tmp_path / 'a'}",
        f"--source_b={tmp_path / 'b'}",
        f"--data_dir={data}",
    )
    try:
        while process.stderr.read(1) != ":":  # of the progress bar: it has begun
            assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert errors.endswith("stopped, nothing is kept; the same command starts anew.\n")
    assert not list(data.rglob("*1.0.0*"))
