"""Calls in several processes: results, cores, errors, death and signals."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import jax
import pytest

from refusion_jax.runs.side_by_side import core_shares, side_by_side


@pytest.fixture(scope="module")
def results():
    """Outcomes of three calls by two processes at once: cores, process and square."""
    return dict(side_by_side(square, [(2,), (3,), (4,)], jobs=2))


def square(number):
    """Returns the cores that the process may use, its number, and a square."""
    return sorted(os.sched_getaffinity(0)), os.getpid(), number**2


def test_each_call_returns_its_own_result(results):
    assert {call: found[2] for call, found in results.items()} == {0: 4, 1: 9, 2: 16}


def test_each_call_has_a_process_with_a_share_of_the_cores(results):
    shares = [sorted(share) for share in core_shares(2)]
    assert all(cores in shares for cores, _, _ in results.values())
    processes = {process for _, process, _ in results.values()}
    assert len(processes) == 3 and os.getpid() not in processes


def test_no_process_takes_the_memory_of_a_gpu_for_itself(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    call = ("XLA_PYTHON_CLIENT_PREALLOCATE",)
    assert dict(side_by_side(os.getenv, [call], jobs=1)) == {0: "false"}


def test_processes_keep_compiled_programs_where_this_one_does(tmp_path):
    name = "jax_compilation_cache_dir"
    before = jax.config.values[name]
    jax.config.update(name, str(tmp_path))
    try:
        assert dict(side_by_side(setting, [(name,)], jobs=1)) == {0: str(tmp_path)}
    finally:
        jax.config.update(name, before)


def setting(name):
    """Returns a setting of JAX in the process that calls it."""
    return jax.config.values[name]


def test_cores_are_dealt_out(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4})
    assert core_shares(2) == [[0, 2, 4], [1, 3]]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert core_shares(2) == [[5], [5]]


def test_an_error_is_raised_where_the_calls_were_made():
    with pytest.raises(ZeroDivisionError, match="division"):
        list(side_by_side(divmod, [(1, 0)], jobs=1))


def test_a_process_that_dies_is_told_with_its_exit_code():
    with pytest.raises(ChildProcessError, match="exit code 7, without a result"):
        list(side_by_side(os._exit, [(7,)], jobs=1))


def test_a_signal_reaches_every_process_once_and_ends_them(tmp_path):
    """Ctrl-C in a terminal goes to all processes of a group."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import signal, sys, time
            from pathlib import Path
            from refusion_jax.runs.side_by_side import AllStopped, side_by_side

            def work(name):
                path = Path(name)
                def note(number, frame):
                    path.write_text(path.read_text() + str(number) + " ")
                signal.signal(signal.SIGTERM, note)
                signal.signal(signal.SIGINT, note)
                path.write_text("")
                while not path.read_text():
                    time.sleep(0.02)
                time.sleep(0.2)

            if __name__ == "__main__":
                try:
                    list(side_by_side(work, [(x,) for x in sys.argv[1:]], jobs=2))
                except AllStopped as stop:
                    print(stop)
                    sys.exit(128 + stop.signal_number)
            """
        )
    )
    notes = [tmp_path / name for name in ("one", "two", "three")]
    process = subprocess.Popen(
        [sys.executable, str(program), *map(str, notes)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not all(path.exists() for path in notes[:2]):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert told.strip() == (
        "Stopped by SIGINT; every run is saved, and the same command resumes."
    )
    assert process.returncode == 128 + signal.SIGINT
    assert [path.read_text() for path in notes[:2]] == [f"{int(signal.SIGTERM)} "] * 2
    assert not notes[2].exists()
