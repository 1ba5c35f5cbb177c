"""Two devices that share a batch compute what one computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.devices.data_parallel import batch_mesh, replicated
from refusion_jax.methods.refusion.losses import WeightMaps


@pytest.fixture(scope="module")
def tree():
    return {"first": jnp.linspace(0.1, 0.9, 5), "second": jnp.asarray(0.3)}


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(0), (2, 4, 3, 5, 1))


def loss(nets, tree, images):
    fused = nets.fuse(tree, *images)
    recon_a, recon_b = nets.reconstruct(tree, fused)
    weights = nets.propose(tree, *images)
    assert isinstance(weights, WeightMaps)
    weighted = (
        weights.intensity[..., :1] * recon_a + weights.gradient[..., 1:] * recon_b
    )
    return jnp.square(weighted - images[0]).mean()


def test_values_and_derivatives_of_both_orders_are_those_of_one_device(
    light_nets, tree, images
):
    divided = light_nets.divided(batch_mesh(2))

    def numbers(nets):
        gradient = jax.grad(loss, argnums=1)
        tangent = jax.tree.map(jnp.cos, tree)
        along = jax.jvp(lambda t: gradient(nets, t, images), (tree,), (tangent,))
        return jax.tree.leaves((loss(nets, tree, images), along))

    for one, two in zip(
        jax.jit(lambda: numbers(light_nets))(),
        jax.jit(lambda: numbers(divided))(),
        strict=True,
    ):
        np.testing.assert_allclose(two, one, rtol=2e-5, atol=1e-7)


def test_each_device_computes_its_part_of_the_batch(light_nets, tree, images):
    mesh = batch_mesh(2)
    fuse = jax.jit(light_nets.divided(mesh).fuse)
    fused = fuse(*jax.device_put((tree, *images), replicated(mesh)))
    assert {shard.data.shape for shard in fused.addressable_shards} == {(2, 3, 5, 1)}
    assert {shard.device for shard in fused.addressable_shards} == set(jax.devices())
