"""Two hosts that train as one: two processes of one device each, on this machine."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import hosts_program
import numpy as np
import pytest
from safetensors.numpy import load_file

from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.trainer import train

TESTS = Path(__file__).parents[1]
LOST = (
    "told: another host has ended or cannot be reached; start all of them again with "
    "the same commands, which resume from the last checkpoint."
)
# 20 before a release; each costs two starts of two processes.
KILLS = int(os.environ.get("REFUSION_HOST_KILLS", "1"))


class Host(NamedTuple):
    """A process, and the file that its messages go to."""

    process: subprocess.Popen
    messages: Path

    def told(self):
        """Returns its sentences, once it has ended."""
        self.process.wait(timeout=120)
        return [x for x in self.messages.read_text().splitlines() if "Gloo" not in x]


@pytest.fixture
def start(tmp_path):
    """Starts two hosts; whatever is left of them is killed at the end."""
    started = []

    def hosts(workdir, count=2, **values):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        for index in range(count):
            messages = tmp_path / f"{len(started)}.txt"
            with messages.open("w") as file:
                process = subprocess.Popen(
                    [
                        *(sys.executable, str(TESTS / "hosts_program.py")),
                        *(json.dumps(values), str(workdir)),
                        *(str(port), str(count), str(index)),
                    ],
                    env={**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"},
                    stderr=file,
                    stdout=subprocess.DEVNULL,
                )
            started.append(Host(process, messages))
        return started[-count:]

    yield hosts
    for host in started:
        host.process.kill()
        host.process.wait()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same run in one process with two devices."""
    folder = tmp_path_factory.mktemp("alone")
    train(hosts_program.settings({}), hosts_program.pairs(0), folder, progress=False)
    return folder


def wait_for(path, hosts):
    deadline = time.monotonic() + 200
    while not path.exists():
        assert all(host.process.poll() is None for host in hosts)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def largest_difference(folder, other):
    a, b = (load_file(x / "weights.safetensors") for x in (folder, other))
    assert a.keys() == b.keys()
    return max(np.abs(a[name] - b[name]).max() for name in a)


def test_two_hosts_are_as_one_with_two_devices(start, alone, tmp_path):
    """To the bit: a sum of two terms has one order only.

    Here each host reads its part of the crops; elsewhere both have all pictures.
    """
    hosts = start(tmp_path / "run", memory_budget=0)
    assert [host.told() for host in hosts] == [[], []]
    assert [host.process.returncode for host in hosts] == [0, 0]
    assert largest_difference(tmp_path / "run", alone) == 0
    lines, others = (
        read_scalars(x / "scalars.jsonl") for x in (tmp_path / "run", alone)
    )
    for line, other in zip(lines, others, strict=True):
        assert line.pop("stage") == other.pop("stage")
        line.pop("steps_per_second", 0)
        other.pop("steps_per_second", 0)
        assert line == pytest.approx(other, rel=1e-5, abs=1e-7)
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert [record["hosts"] for record in environment] == [2]


def test_a_host_that_is_killed_ends_the_others_and_nothing_is_lost(
    start, alone, tmp_path
):
    chance = random.Random(os.urandom(8))
    for number in range(KILLS):
        folder = tmp_path / str(number)
        hosts = start(folder)
        victim, other = chance.sample(hosts, 2)
        wait_for(folder / "scalars.jsonl", hosts)
        time.sleep(chance.uniform(0, 1.5))
        victim.process.kill()
        began = time.monotonic()
        told = other.told()
        assert time.monotonic() - began < 60
        if other.process.returncode:  # not complete before
            assert [other.process.returncode, *told] == [1, LOST]
        hosts = start(folder)
        for host in hosts:
            assert host.told() == [], f"after kill {number}"
        assert [host.process.returncode for host in hosts] == [0, 0]
        assert largest_difference(folder, alone) == 0
        assert not list(folder.glob("**/*tmp*"))


def test_sigterm_at_one_host_saves_the_run_of_all_which_one_host_completes(
    start, alone, tmp_path
):
    folder = tmp_path / "run"
    hosts = start(folder, epochs=3)
    wait_for(folder / "checkpoints" / "10", hosts)
    hosts[1].process.send_signal(signal.SIGTERM)
    sentences = [host.told() for host in hosts]
    assert sentences[0] == sentences[1]
    (sentence,) = sentences[0]
    step = int(re.search(r"saved at step (\d+);", sentence).group(1))
    assert "Stopped by SIGTERM" in sentence and 10 <= step < 30
    assert (folder / "checkpoints" / str(step)).is_dir()
    assert [host.process.returncode for host in hosts] == [143, 143]

    (host,) = start(folder, count=1)
    (sentence,) = host.told()
    assert sentence.startswith("The run was on 2 hosts and is on 1 now")
    assert host.process.returncode == 0
    assert largest_difference(folder, alone) < 1e-5


def test_hosts_must_have_the_same_pairs(start, tmp_path):
    hosts = start(tmp_path / "run", data_of_host={"1": 7})
    for host in hosts:
        (sentence,) = host.told()
        assert "expected the same settings and pairs on every host" in sentence
        assert host.process.returncode == 1
