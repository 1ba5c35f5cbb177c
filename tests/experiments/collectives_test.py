"""`experiments/speed/collectives.py` against counts by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from speed.collectives import Exchange, exchanges

from refusion_jax.devices.data_parallel import AXIS, batch_mesh, replicated


def of_two(function, x, into):
    """What two devices exchange, each of which has half of x."""
    mesh = batch_mesh(2)
    program = jax.jit(
        function,
        in_shardings=NamedSharding(mesh, PartitionSpec(AXIS)),
        out_shardings=into(mesh),
    )
    return exchanges(program.lower(x).compile().as_text())


def test_a_sum_is_sent_twice_but_for_ones_own_part():
    (found,) = of_two(lambda x: x.sum(axis=0), jnp.ones((4, 50)), replicated)
    assert found == Exchange("all-reduce", 4 * 50, 2, 1)
    assert found.sent == 2 * 4 * 50 / 2


def test_each_device_sends_what_the_others_lack():
    (found,) = of_two(lambda x: x, jnp.ones((4, 50)), replicated)
    assert found == Exchange("all-gather", 4 * 200, 2, 1)
    assert found.sent == 4 * 100


def test_a_loop_counts_as_often_as_it_runs():
    def steps(x):
        def step(y, _):
            return jnp.tanh(x + y).sum(axis=0, keepdims=True), None

        return jax.lax.scan(step, jnp.zeros((1, 50)), length=5)[0]

    found = of_two(steps, jnp.ones((4, 50)), replicated)
    assert found == [Exchange("all-reduce", 4 * 50, 2, 5)]


HLO = """\
%body (x: f32[8]) -> f32[8] {
  ROOT %sum = (f32[8]{0}, /*index=1*/bf16[2,3]{1,0}) KIND(%x), replica_groups=GROUPS
}

ENTRY %main (x: f32[8]) -> f32[8] {
  ROOT %loop = f32[8]{0} while(%x), condition=%less, body=%body, backend_config={TRIPS}
}

%less (x: f32[8]) -> pred[] {
  ROOT %is_less = pred[] compare(%x, %x)
}
"""


def program(
    kind="all-reduce", groups="[1,2]<=[2]", trips='"known_trip_count":{"n":"3"}'
):
    text = HLO.replace("KIND", kind).replace("GROUPS", groups)
    return text.replace("TRIPS", trips)


@pytest.mark.parametrize(
    ("groups", "devices"),
    [
        ("{{0,1,2},{3,4,5}}", 3),
        ("[2,4]<=[8]", 4),
        ("mesh['a'=2,'b'=4] {'a'}", 2),
        ("mesh['a'=2,'b'=4] {'a','b'}", 8),
    ],
)
def test_groups_of_devices_are_read_however_they_are_written(groups, devices):
    (found,) = exchanges(program(groups=groups))
    assert found == Exchange("all-reduce", 4 * 8 + 2 * 6, devices, 3)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"trips": ""}, "a loop of known length"),
        ({"groups": "x"}, "groups of devices"),
        ({"kind": "collective-permute"}, "one of all-reduce"),
    ],
)
def test_what_cannot_be_counted_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        exchanges(program(**wrong))
