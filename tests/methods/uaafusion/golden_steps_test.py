"""One training step of the released networks: terms, gradients, Adam, statistics."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from methods.uaafusion.released import fusion_name, part_of, segmentation_name, to_ours

from refusion_jax.array_types import Batch
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.uaafusion.nets.networks import NetsParams
from refusion_jax.methods.uaafusion.steps import (
    Optimizers,
    OptimizerStates,
    Rates,
    Rules,
    joint_update,
)

WITHOUT_DROPOUT = Rules(
    attributes_unlabelled=True, learns_by_batch=False, has_dropout=False
)
STEPS = {
    "official.eval": WITHOUT_DROPOUT._replace(is_released=True),
    "official.bn_train": WITHOUT_DROPOUT._replace(
        is_released=True, attributes_by_batch=True, learns_by_batch=True
    ),
    "paper_norm.eval": WITHOUT_DROPOUT,
}
TERMS = {
    "intensity_i": "intensity_loss_a",
    "intensity_v": "intensity_loss_b",
    "gradient": "gradient_loss",
    "ce_f": "entropy_fused",
    "ce_i": "entropy_a",
    "ce_v": "entropy_b",
    "total": "total_loss",
}


@pytest.fixture(scope="module", params=STEPS)
def step(request, released):
    """The name of a step, and ours: gradients, trees after it, scalars."""
    rules = STEPS[request.param]
    with jax.enable_x64(True):
        params = NetsParams(
            released.fusion(np.float64), *released.segmentation(np.float64)
        )
        params = jax.tree.map(jnp.asarray, params)
        sources = map(jnp.asarray, released.sources("d", np.float64))
        batch = Batch(*sources, jnp.asarray(released.labels("d"), jnp.uint8))
        recorder = recording_adam()
        state = TrainState(
            params,
            OptimizerStates(recorder.init(params[0]), recorder.init(params[1]), {}),
            jnp.zeros((), jnp.int32),
            jax.random.key(0),
        )
        step = partial(
            joint_update,
            rules=rules,
            optimizers=Optimizers(recorder, recorder),
            rates=Rates(1e-4, 1e-4, 0.0),
        )
        after, scalars = jax.device_get(jax.jit(step)(state, batch))
    grads = after.opt_states.fusion[1], after.opt_states.segmentation[1]
    return request.param, grads, after.params, scalars


def recording_adam():
    """Adam, without step size, that keeps the gradients in its state."""
    adam = optax.scale_by_adam()

    def update(grads, state, params):
        updates, moments = adam.update(grads, state[0], params)
        return updates, (moments, grads)

    return optax.GradientTransformation(lambda x: (adam.init(x), x), update)


def leaf_of(trees, name):
    """Our array of a tensor that they name; trees are F's and S's."""
    net, _, tensor = name.partition(".")
    if net == "fusion":
        leaf, index, gate = fusion_name(tensor)
        return part_of(flatten_dict(trees[0], sep="/")[leaf], index, gate)
    return flatten_dict(trees[1], sep="/")[segmentation_name(tensor)[1]]


def in_our_layout(array, shape):
    array = array[:, 0].transpose(1, 2, 0) if len(shape) == 3 else to_ours(array)
    return array.reshape(shape)


def test_loss_terms_equal_the_released_ones(step, released):
    name, *_, scalars = step
    terms = released.report["scalars"][f"train.{name}.terms"]
    for theirs, ours in TERMS.items():
        assert scalars[ours] == pytest.approx(terms[theirs]["float64"], abs=1e-9)


def test_norms_of_all_gradients_equal_the_released_ones(step, released):
    """A tensor that no gradient reaches is None in PyTorch and 0 here."""
    name, grads, *_ = step
    norms = released.report["scalars"][f"train.{name}.grad_norms"]
    assert len(norms) == 413
    unreached = [tensor for tensor, norm in norms.items() if norm is None]
    assert len(unreached) == (41 if name.startswith("paper") else 42)
    for tensor, norm in norms.items():
        ours = np.linalg.norm(leaf_of(grads, tensor))
        if norm is None:
            assert ours == 0
        else:
            assert ours == pytest.approx(norm["float64"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", ["grads", "after"])
def test_leaves_equal_the_released_ones(step, released, kind):
    name, grads, after, _ = step
    prefix = f"train.{name}.{kind}."
    names = [x for x in released.outputs.files if x.startswith(prefix)]
    assert len(names) >= 14
    for full in names:
        tensor = full.removeprefix(prefix)
        ours = leaf_of(grads if kind == "grads" else after, tensor)
        theirs = in_our_layout(released.outputs[full], np.shape(ours))
        np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=2e-7 * np.abs(theirs).max()
        )


def test_statistics_after_all_passes_equal_the_released_ones(step, released):
    name, _, after, _ = step
    if not name.endswith("bn_train"):
        pytest.skip("S normalises by running statistics, and leaves them as they are")
    order = released.report["scalars"]["train.official.bn_train.bn.order"]
    flat = flatten_dict(after.statistics, sep="/")
    for kind in ("running_mean", "running_var"):
        leaves = [flat[segmentation_name(f"{norm}.{kind}")[1]] for norm, _ in order]
        theirs = released.outputs[f"train.{name}.bn.{kind}"]
        ours = np.concatenate(leaves)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * theirs.max())
