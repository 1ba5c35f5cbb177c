from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.nets import networks
from refusion_jax.methods.refusion.nets.plain import fuse_plainly

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("size", "without", "decision"),
    [
        ((2, 5, 7), (), False),
        ((1, 1, 4), ("cross_attention",), False),
        ((1, 4, 1), ("refinement",), False),
        ((1, 3, 4), ("cross_attention", "refinement"), True),
    ],
)
def test_it_is_the_fusion_network_in_every_variant(size, without, decision):
    init = partial(networks.init_params, decision=decision)
    params = jax.tree.map(
        lambda leaf: RNG.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
        jax.eval_shape(init, jax.random.key(0)).fusion,
    )
    params = {name: tree for name, tree in params.items() if name not in without}
    pair = jnp.asarray(RNG.random((2, *size, 1)), jnp.float32)

    def plainly(source_a, source_b):
        return fuse_plainly(params, source_a, source_b)

    ours = jax.jit(plainly)(*pair)
    expected = jax.jit(networks.fuse)(params, *pair)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
