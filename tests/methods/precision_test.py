import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from refusion_jax.methods.precision import at_least_float32, in_precision
from refusion_jax.methods.refusion.nets.restormer import gram_statistics


def products(function, *args):
    """Precisions of the matrix products in a function, derivatives included."""
    grads = jax.grad(lambda *x: jnp.square(function(*x)).sum(), (0, 1))
    jaxpr = jax.make_jaxpr(grads)(*args).jaxpr
    return [eqn.params["precision"] for eqn in jaxpr.eqns if "precision" in eqn.params]


@pytest.mark.parametrize(
    ("precision", "word"), [("float32", "HIGHEST"), ("tf32", "HIGH")]
)
def test_precision_is_that_of_every_product_and_derivative(precision, word):
    x = jnp.ones((3, 3))
    with jax.default_matmul_precision("bfloat16"):  # whatever stands around
        found = products(in_precision(jnp.matmul, precision), x, x)
    assert found == 3 * [2 * (jax.lax.Precision[word],)]


def test_bfloat16_rounds_arguments_and_results_and_leaves_integers():
    values = np.random.default_rng(0).random(1000, np.float32)
    tree = {"x": jnp.asarray(values), "n": jnp.arange(1000)}
    seen = in_precision(lambda tree: {**tree, "y": tree["x"] * 3}, "bfloat16")(tree)
    rounded = values.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(seen["x"], rounded.astype(np.float32))
    np.testing.assert_array_equal(seen["n"], np.arange(1000))
    expected = (rounded.astype(np.float32) * 3).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(seen["y"], expected.astype(np.float32))


def test_gradients_come_back_in_float32():
    grad = jax.grad(lambda x: in_precision(jnp.square, "bfloat16")(x).sum())
    assert grad(jnp.ones(3)).dtype == jnp.float32


def test_attention_counts_pixels_beyond_what_bfloat16_can():
    # In bfloat16 256 + 1 = 256.
    ones = jnp.ones((2, 5001), jnp.bfloat16)
    for statistic in gram_statistics(ones, ones, heads=2):
        np.testing.assert_array_equal(statistic, 5001)


def test_more_digits_than_float32_are_kept(x64):
    assert at_least_float32(jnp.zeros(1, jnp.bfloat16)).dtype == jnp.float32
    assert at_least_float32(jnp.zeros(1, jnp.float64)).dtype == jnp.float64
