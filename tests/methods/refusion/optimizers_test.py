import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.optimizers import make_optimizers, max_norm

GRADS = {"a": jnp.array([1e-9, -4e-9]), "b": jnp.array(2e-9)}


def test_max_norm_divides_by_the_one_largest_entry_of_all_tensors():
    update, _ = max_norm().update(GRADS, max_norm().init(GRADS))
    np.testing.assert_allclose(update["a"], [0.25, -1], rtol=1e-6)
    np.testing.assert_allclose(update["b"], 0.5, rtol=1e-6)


def test_max_norm_of_zero_is_zero():
    zeros = jax.tree.map(jnp.zeros_like, GRADS)
    update, _ = max_norm().update(zeros, max_norm().init(zeros))
    assert not any(x.any() for x in jax.tree.leaves(update))


def test_max_norm_does_not_change_with_the_scale_of_the_gradients():
    """So eta in front of the meta-gradient does not matter."""
    scaled = jax.tree.map(lambda g: 2**-20 * g, GRADS)
    updates = [max_norm().update(g, max_norm().init(g))[0] for g in (GRADS, scaled)]
    for one, other in zip(*map(jax.tree.leaves, updates), strict=True):
        np.testing.assert_array_equal(one, other)


def adam_by_hand(grads):
    """Kingma and Ba, Algorithm 1: the direction after each gradient."""
    mean = square = 0.0
    for t, g in enumerate(grads, start=1):
        mean = 0.9 * mean + 0.1 * g
        square = 0.999 * square + 0.001 * g**2
        yield (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)


@pytest.mark.parametrize("network", ["fusion", "reconstruction", "proposal"])
def test_adam_takes_the_directions_of_the_book_without_a_step_size(network):
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    optimizer = getattr(optimizers, network)
    grads = [0.3, -0.1, 0.2]
    state = optimizer.init(jnp.zeros(()))
    for g, expected in zip(grads, adam_by_hand(grads), strict=True):
        update, state = optimizer.update(jnp.asarray(g), state)
        np.testing.assert_allclose(update, expected, rtol=1e-4)


def test_accumulation_passes_on_the_mean_at_every_second_gradient():
    optimizer = make_optimizers(proposal_optimizer="max_norm", accumulate=2).proposal
    params = jnp.zeros(2)
    state = optimizer.init(params)
    first, state = optimizer.update(jnp.array([3.0, 0.0]), state, params)
    assert not first.any()
    # The mean is [1, -2]; over its largest entry that is [1/2, -1].
    second, state = optimizer.update(jnp.array([-1.0, -4.0]), state, params)
    np.testing.assert_allclose(second, [0.5, -1], rtol=1e-6)
    third, _ = optimizer.update(jnp.array([3.0, 0.0]), state, params)
    assert not third.any()


def test_only_p_accumulates():
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=2)
    for optimizer in (optimizers.fusion, optimizers.reconstruction):
        update, _ = optimizer.update(jnp.ones(()), optimizer.init(jnp.zeros(())))
        np.testing.assert_allclose(update, 1, rtol=1e-5)


def test_an_unknown_optimiser_lists_the_choices():
    with pytest.raises(ValueError, match=r"one of adam, max_norm, got 'sgd'"):
        make_optimizers(proposal_optimizer="sgd", accumulate=1)
