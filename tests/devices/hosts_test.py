"""What is refused before hosts join; how they exchange is in tests/training."""

import jax
import numpy as np
import pytest

from refusion_jax.devices import hosts
from refusion_jax.devices.data_parallel import shared_mesh
from refusion_jax.devices.hosts import HostLostError, join, together


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((None, 2, 0), "expected --coordinator with --hosts and --host, got none"),
        (("node1", 2, 0), "expected a coordinator as NAME:PORT or auto, got 'node1'"),
        (("node1:1", 2, None), "expected --hosts and --host with --coordinator"),
        (("node1:1", None, 1), "expected --hosts and --host with --coordinator"),
        (("node1:1", 2, 2), "expected a host from 0 to 1, got 2"),
    ],
)
def test_a_place_among_hosts_that_cannot_be_is_refused(place, message):
    with pytest.raises(ValueError, match=message):
        join(*place)
    assert not jax.distributed.is_initialized()


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ValueError("coordinator_address should be defined."), ValueError, "a cluster"),
        (jax.errors.JaxRuntimeError("DEADLINE"), HostLostError, "all hosts at auto"),
    ],
)
def test_auto_without_a_cluster_or_others_says_so(
    monkeypatch, raised, expected, message
):
    def initialize(*_, **__):
        raise raised

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(expected, match=message):
        join("auto")


def test_no_place_joins_nothing():
    join(None)
    assert not jax.distributed.is_initialized()


def test_several_hosts_must_share_a_batch_equally(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(ValueError, match="a batch that 3 hosts can share equally, got"):
        shared_mesh(4)


def test_a_mesh_takes_as_many_devices_of_each_host(monkeypatch):
    class Device:
        def __init__(self, host, number):
            self.process_index, self.number = host, number

        def __repr__(self):
            return f"{self.process_index}.{self.number}"

    taken = []
    devices = [Device(host, n) for n in range(4) for host in (0, 1)]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(
        "refusion_jax.devices.data_parallel.Mesh",
        lambda devices, *_, **__: taken.append([str(x) for x in np.ravel(devices)]),
    )
    shared_mesh(12)  # six of each, which four devices cannot share but three can
    assert taken == [["0.0", "0.1", "0.2", "1.0", "1.1", "1.2"]]


def test_an_exchange_that_fails_names_the_lost_host(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(hosts, "_exit_soon", lambda: None)
    with pytest.raises(HostLostError, match="another host has ended"), together():
        raise jax.errors.JaxRuntimeError("Gloo all-reduce failed")
    with pytest.raises(HostLostError), together():
        raise ValueError("UNKNOWN: Gloo AllGather failed")
    with pytest.raises(OSError, match="full"), together():
        raise OSError("full")


def test_on_one_host_an_error_of_the_runtime_stays_itself():
    with pytest.raises(jax.errors.JaxRuntimeError), together():
        raise jax.errors.JaxRuntimeError("out of memory")
