"""`experiments/speed/counting.py` against counts by hand."""

import jax
import jax.numpy as jnp
import pytest
from speed.counting import Count, count
from speed.roofline import row

from refusion_jax.methods.refusion.nets.convolution import conv3x3
from refusion_jax.methods.refusion.nets.depthwise import depthwise3x3


def test_a_product_multiplies_adds_and_moves_three_arrays():
    a, b = jnp.ones((5, 2, 3)), jnp.ones((5, 3, 7))
    expected = Count(2 * 5 * 2 * 3 * 7, 4 * 5 * (2 * 3 + 3 * 7 + 2 * 7))
    assert count(jnp.matmul, a, b) == expected


def test_elementwise_work_moves_nothing():
    x = jnp.ones((4, 6))
    assert count(lambda x: (jnp.exp(x) + 1).sum(), x) == Count(3 * 24, 0)


def test_a_loop_counts_as_often_as_it_runs_whatever_surrounds_it():
    @jax.jit
    def power(x):
        step = jax.checkpoint(lambda x: x @ x)
        return jax.lax.scan(lambda x, _: (step(x), None), x, length=5)[0]

    once = count(jnp.matmul, jnp.ones((3, 3)), jnp.ones((3, 3)))
    assert count(power, jnp.ones((3, 3))) == Count(*(5 * x for x in once))


def test_of_two_branches_the_longer_one_counts():
    def choose(x):
        return jax.lax.cond(x[0] > 0, lambda x: x, lambda x: 2 * x, x)

    assert count(choose, jnp.ones(10)) == Count(1 + 10, 0)


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match="while"):
        count(lambda n: jax.lax.fori_loop(0, n, lambda _, x: x, 1.0), 3)


def test_convolutions_are_nine_products_a_value():
    x, stride = jnp.ones((2, 50)), 10  # 50 - 2 * 11 values without halo
    values = 2 * 28
    expected = Count(18 * values, 4 * (x.size + 2 * 9 + values))
    assert count(lambda x: depthwise3x3(x, jnp.ones((2, 3, 3)), stride), x) == expected
    gradient = jax.grad(lambda w: depthwise3x3(x, w, stride).sum())
    assert count(gradient, jnp.ones((2, 3, 3))).operations >= 2 * 18 * values


def test_a_dense_convolution_is_a_product_and_shifts():
    x, mask = jnp.ones((4, 50)), jnp.ones((1, 50))
    operations = count(
        lambda x: conv3x3(jnp.ones((1, 4, 3, 3)), x, mask, 10), x
    ).operations
    assert operations == 4 * 50 + 2 * 9 * 4 * 50 + 9 * 28


def test_the_floor_is_the_slower_of_the_two_ceilings():
    line = {
        "operations": 8e9,
        "bytes": 3e9,
        "xla_operations": 1.0,
        "xla_bytes": 1.0,
        "seconds": 4.0,
    }
    cells = row("F", line, {"operations": 4e9, "bytes": 3e9})
    assert (cells["floor, ms"], cells["bound by"]) == (2000, "operations")
    assert (cells["floor / measured"], cells["per second"]) == (0.5, 0.25)
