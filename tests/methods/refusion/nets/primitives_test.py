"""Padding and trimming are each other's transposes; what is once stays once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.nets.primitives import (
    computed_once,
    declare,
    padded,
    trimmed,
)

RNG = np.random.default_rng(5)
X = RNG.normal(size=(2, 3, 7)).astype(np.float32)


def test_padded_and_trimmed_equal_numpy():
    wide = np.pad(X, ((0, 0), (0, 0), (4, 4)))
    np.testing.assert_array_equal(padded(X, 4), wide)
    np.testing.assert_array_equal(trimmed(wide, 4), X)
    np.testing.assert_array_equal(trimmed(X, 2), X[..., 2:-2])


def test_padded_and_trimmed_are_each_others_transposes():
    wide = RNG.normal(size=(2, 3, 13)).astype(np.float32)
    (back,) = jax.vjp(lambda x: padded(x, 3), X)[1](wide)
    np.testing.assert_array_equal(back, wide[..., 3:-3])
    (back,) = jax.vjp(lambda x: trimmed(x, 3), wide)[1](X)
    np.testing.assert_array_equal(back, np.pad(X, ((0, 0), (0, 0), (3, 3))))


@pytest.mark.parametrize("function", [lambda x: padded(x, 2), computed_once])
def test_derivatives_of_every_order_and_batches(function):
    def cubes(x):
        return (function(x) ** 3).sum()

    np.testing.assert_allclose(jax.grad(cubes)(X), 3 * X**2, rtol=1e-5)
    second = jax.jvp(jax.grad(cubes), (X,), (np.ones_like(X),))[1]
    np.testing.assert_allclose(second, 6 * X, rtol=1e-5)
    np.testing.assert_array_equal(jax.vmap(function)(X), function(X))


def calls(function):
    """How many calls that are not inlined a compiled function holds."""
    text = jax.jit(function).lower(jnp.zeros((8, 64))).compile().as_text()
    return len(re.findall(r" call\(.*to_apply=", text))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a rule for CPUs")
@pytest.mark.parametrize("once", [False, True])
def test_result_with_many_readers_is_computed_by_one_call_on_cpus(once):
    primitive = declare(f"cube_{once}", lambda x: x**3, once=once)

    def three_readers(x):
        y = primitive.bind(x)
        return jnp.sin(y), jnp.exp(y) * y, y[1:] + y[:-1]

    assert calls(three_readers) == (1 if once else 0)
    x = np.linspace(-1, 1, 512, dtype=np.float32).reshape(8, 64)
    np.testing.assert_allclose(jax.jit(three_readers)(x)[0], np.sin(x**3), atol=1e-6)
