import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from refusion_jax import nets
from refusion_jax.export import at_once
from refusion_jax.nets.plain import plain

RNG = np.random.default_rng(0)


def primitives(function, *args):
    """Names of all primitives of a program, those of inner programs too."""

    def names(jaxpr):
        for equation in jaxpr.eqns:
            yield equation.primitive.name
            for inner in jaxprs_in_params(equation.params):
                yield from names(inner)

    return set(names(jax.make_jaxpr(function)(*args).jaxpr))


@pytest.mark.parametrize("size", [(2, 5, 7), (1, 1, 4)])
def test_the_fusion_network_is_the_same_of_standard_operations(size):
    """Also: on whole pictures it is what it is in strips."""
    params = jax.tree.map(
        lambda leaf: RNG.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
        jax.eval_shape(nets.init_params, jax.random.key(0)).fusion,
    )
    pair = jnp.asarray(RNG.random((2, *size, 1)), jnp.float32)
    function = plain(lambda a, b: at_once(params, a, b))
    used = primitives(function, *pair)
    assert "conv_general_dilated" in used and "scan" not in used
    assert not [name for name in used if name.startswith("refusion")]
    in_a_hurry = {"xla_backend_optimization_level": 0}
    ours = jax.jit(function, compiler_options=in_a_hurry)(*pair)
    expected = jax.jit(nets.fuse, compiler_options=in_a_hurry)(params, *pair)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_is_written_out(reverse):
    def running(x, y):
        def step(total, pair):
            total = total * jnp.sin(pair[0]) + pair[1]
            return total, (total, pair[0] * x.sum())

        total, (totals, products) = jax.lax.scan(
            step, jnp.zeros(3), (x, y), reverse=reverse
        )
        return jnp.concatenate([total[None], totals, products])

    x, y = jnp.asarray(RNG.random((2, 4, 3)), jnp.float32)
    assert "scan" in primitives(running, x, y)
    assert "scan" not in primitives(plain(running), x, y)
    np.testing.assert_allclose(plain(running)(x, y), running(x, y), rtol=1e-6)


def test_what_depends_on_weights_alone_is_computed_at_once():
    weights = jnp.asarray(RNG.random((4, 4)), jnp.float32)
    function = plain(lambda x: x + jnp.exp(weights @ weights))
    assert primitives(function, weights) == {"add"}
    np.testing.assert_allclose(
        function(weights), weights + np.exp(weights @ weights), rtol=1e-6
    )
