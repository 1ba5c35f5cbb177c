import json
import os

import pytest

from refusion_jax.extras import version_of
from refusion_jax.training import environment
from refusion_jax.training.environment import hosts_before, record_environment


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "somebody-secret")
    monkeypatch.setenv("API_TOKEN", "token-secret")
    monkeypatch.setattr("sys.argv", ["/home/somebody-secret/bin/refusion", "train"])
    for step in (0, 40):
        record_environment(tmp_path, step=step)
    return (tmp_path / environment.FILE).read_text()


def test_each_start_appends_a_record(records):
    first, second = json.loads(records)
    assert (first["step"], second["step"]) == (0, 40)
    assert first["command"] == ["refusion", "train"]
    assert first["versions"]["jax"] == version_of("jax")
    assert first["cores"] == len(os.sched_getaffinity(0))
    assert first["memory_bytes"] > 1e8 and first["devices"] and first["processor"]


def test_neither_users_nor_variables_are_recorded(records):
    assert "secret" not in records


def test_a_run_of_an_earlier_version_was_on_one_host(tmp_path):
    assert hosts_before(tmp_path) == 1
    (tmp_path / environment.FILE).write_text('[{"step": 0}, {"hosts": 4}]')
    assert hosts_before(tmp_path) == 4
    (tmp_path / environment.FILE).write_text('[{"hosts": 4}, {"step": 0}]')
    assert hosts_before(tmp_path) == 1
