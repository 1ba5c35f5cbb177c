"""What every binary of experiments/ does at its start and at its end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
BINARY = '''
"""A binary that does as it is told."""

import signal
import sys

sys.path.insert(0, {experiments!r})
from launch import launch


class Stopped(Exception):
    """A signal ended the work."""

    signal_number = signal.SIGTERM


def work():
    {body}
    return 0


launch(work, Stopped)
'''


@pytest.fixture
def run(tmp_path):
    """Runs a binary with this body."""

    def run(body, *arguments):
        binary = tmp_path / "fold.py"
        binary.write_text(BINARY.format(experiments=str(EXPERIMENTS), body=body))
        return subprocess.run(
            [sys.executable, str(binary), *arguments], capture_output=True, text=True
        )

    return run


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("pass", 0, ""),
        ("return 7", 7, ""),
        ("raise ValueError('expected 2, got 3.')", 1, "fold: expected 2, got 3.\n"),
        ("raise FileNotFoundError('no file x.')", 1, "fold: no file x.\n"),
        ("raise Stopped('saved.')", 128 + signal.SIGTERM, "fold: saved.\n"),
    ],
)
def test_expected_error_is_one_sentence_and_an_exit_code(run, body, code, message):
    done = run(body)
    assert (done.returncode, done.stderr) == (code, message)


def test_unexpected_error_keeps_its_traceback(run):
    done = run("raise KeyError('a bug')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_device_that_is_not_there_is_one_sentence(run, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    done = run("import jax; jax.devices()")
    assert done.returncode == 1
    assert done.stderr.startswith("fold: expected JAX to start on 'abacus', which ")
    assert len(done.stderr.splitlines()) == 1


def test_argument_that_is_no_flag_is_refused(run):
    done = run("pass", "stray")
    assert done.returncode == 1
    assert "Expected flags only, got 'stray'." in done.stderr + done.stdout
