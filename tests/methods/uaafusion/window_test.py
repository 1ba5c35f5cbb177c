"""The dense convolution keeps the precision that is asked for, derivatives included."""

import re

import jax
import jax.numpy as jnp
import pytest

from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.uaafusion.nets.window import window_convolution


@pytest.mark.parametrize(
    ("precision", "word"), [("float32", "HIGHEST"), ("tf32", "HIGH")]
)
def test_precision_is_that_of_every_product_as_compiled(precision, word):
    """In the lowered program: a primitive is traced again where it is lowered."""

    def curvature(x, kernel):
        slope = jax.grad(
            lambda x, k: jnp.square(window_convolution(x, k)).sum(), (0, 1)
        )
        return sum(jnp.square(part).sum() for part in slope(x, kernel))

    function = jax.grad(in_precision(curvature, precision), (0, 1))
    shapes = [
        jax.ShapeDtypeStruct(x, jnp.float32) for x in ((1, 6, 5, 2), (3, 3, 2, 4))
    ]
    with jax.default_matmul_precision("bfloat16"):  # whatever stands around
        text = jax.jit(function).lower(*shapes).as_text()
    found = re.findall(r"#stablehlo<precision (\w+)>", text)
    assert found and set(found) == {word}
