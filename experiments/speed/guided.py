"""UAAFusion's joint step as a contender; runs in a process of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from peers import files

from refusion_jax.array_types import Batch, Params
from refusion_jax.devices.cores import training_options
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.uaafusion.nets.networks import NetsParams
from refusion_jax.methods.uaafusion.steps import (
    Optimizers,
    OptimizerStates,
    Rates,
    Rules,
    joint_update,
)

# Adam's first moment after one step is this share of the gradient.
FIRST_MOMENT_SHARE = 0.1


class Joint:
    """The joint step of preset `small` on a fixed batch, on one device."""

    def __init__(self, folder: str) -> None:
        """Loads networks and a batch.

        Args:
          folder: as `peers.files` describes it.
        """
        trees = {
            name: jax.tree.map(jnp.asarray, unflatten_dict(leaves, sep="/"))
            for name, leaves in files.read_leaves(folder).items()
        }
        params, adam = NetsParams(**trees), optax.scale_by_adam()
        inputs = files.read_inputs(folder)
        rate = float(inputs["learning_rate"])
        self._batch = Batch(
            *(jnp.asarray(inputs[x]) for x in ("source_a", "source_b", "labels"))
        )
        self._state = TrainState(
            params,
            OptimizerStates(adam.init(params[0]), adam.init(params[1]), {}),
            jnp.zeros((), jnp.int32),
            jax.random.key(0),
        )
        self._update = jax.jit(
            partial(
                joint_update,
                rules=Rules(learns_by_batch=False),
                optimizers=Optimizers(adam, adam),
                rates=Rates(rate, rate, rate),
            ),
            compiler_options=training_options(),
        )

    def first(self) -> dict[str, np.ndarray]:
        """Returns the loss and both gradients of the first step."""
        loss = self._advance()
        states = self._state.opt_states
        return {
            "total_loss": np.asarray(loss),
            "fusion_grads": _grads(states.fusion.mu),
            "segmentation_grads": _grads(states.segmentation.mu),
        }

    def run(self) -> None:
        """Makes one step."""
        self._advance()

    def _advance(self) -> jax.Array:
        self._state, scalars = self._update(self._state, self._batch)
        loss: jax.Array = jax.block_until_ready(scalars)["total_loss"]
        return loss


def _grads(first_moment: Params) -> np.ndarray:
    leaves = jax.tree.map(np.asarray, flatten_dict(first_moment, sep="/"))
    return files.flat(leaves) / FIRST_MOMENT_SHARE
