"""A guarded program: its exit code, its messages, its end with a lost host."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from refusion_jax.devices.guard import end_as_lost

PROGRAM = """
import os, sys
from refusion_jax.devices.guard import run_guarded
run_guarded("detected fatal errors", "another host has ended.")
print("from Python", file=sys.stderr)
os.write(2, b"from C++ ")
{}
"""
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def program(tmp_path):
    """Starts a guarded program that ends in a given way."""

    started = ExitStack()

    def start(end):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(end))
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, "PYTHONPATH": ROOT},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.enter_context(process)  # its files are closed
        started.callback(process.kill)
        return process

    with started:
        yield start


@pytest.mark.parametrize("code", [0, 3])
def test_exit_codes_and_messages_of_python_pass_through(program, code):
    process = program(f"print('out'); sys.exit({code})")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "out\n", "from Python\n")


def test_the_end_by_a_lost_host_is_a_sentence(program):
    process = program("os.write(2, b'it detected fatal errors'); os.abort()")
    _, err = process.communicate(timeout=60)
    lines = err.splitlines()
    assert process.returncode == 1 and lines[0] == "from Python"
    assert lines[1:] == ["another host has ended."]


def test_the_end_by_exit_of_a_runtime_is_a_sentence_too(program):
    process = program("os.write(2, b'it detected fatal errors'); os._exit(1)")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "C++" not in err
    assert err.splitlines()[-1] == "another host has ended."


def test_a_program_can_end_as_the_runtime_would(program):
    process = program(
        "from refusion_jax.devices.guard import end_as_lost; end_as_lost()"
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines() == ["from Python", "another host has ended."]


def test_without_a_guard_nothing_ends_as_lost():
    end_as_lost()


def test_another_crash_shows_what_was_kept_back(program):
    process = program("os.kill(os.getpid(), 9)")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL and "from C++" in err


def test_sigterm_reaches_the_child(program):
    process = program("import time; print('up', flush=True); time.sleep(60)")
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


def test_the_child_does_not_outlive_the_program(program):
    process = program("import time; print(os.getpid(), flush=True); time.sleep(60)")
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "Z" not in state(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2]
    except FileNotFoundError:
        return "Z"
