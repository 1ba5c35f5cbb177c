"""Weights in the place of random numbers, before the first step."""

import logging
from collections.abc import Mapping

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from refusion_jax.array_types import Params
from refusion_jax.methods.protocol import Learner, Method, TrainState
from refusion_jax.weights.checks import check_leaves
from refusion_jax.weights.store import load_any_weights

_LOG = logging.getLogger(__name__)


def initial_trees(learner: Learner, method: Method, place: str) -> dict[str, Params]:
    """Reads weights to start from, and checks that they suit the run.

    Args:
      learner: of the run.
      method: that is trained.
      place: of the weights, as `weights.store.load_any_weights` takes it.

    Returns:
      Trees by name; not all of the method's, if the file lacks some.

    Raises:
      FileNotFoundError: if there are no weights.
      ValueError: if they belong to another method, or to networks of other settings.
    """
    weights = load_any_weights(place)
    if weights.method.trees != method.trees:
        raise ValueError(
            f"expected weights of {method.title} to start from, got {place} of "
            f"{weights.method.title}; name others, or choose "
            f"--method={weights.method.name}."
        )
    params = jax.eval_shape(learner.init, jax.random.key(0)).params
    for name, tree in weights.trees.items():
        ours = flatten_dict(getattr(params, name), sep="/")
        check_leaves(
            {path: leaf.shape for path, leaf in ours.items()},
            flatten_dict(tree, sep="/"),
            f"the weights of {name} in {place} for the settings of this run",
        )
    missing = [name for name in params._fields if name not in weights.trees]
    _LOG.info(
        "Starting from %s%s.",
        place,
        f"; at random: {', '.join(missing)}, which it lacks" if missing else "",
    )
    return weights.trees


def with_trees(state: TrainState, trees: Mapping[str, Params]) -> TrainState:
    """Returns a state whose networks have other parameters.

    Args:
      state: before the first step; its optimisers stay as they are.
      trees: any of the networks, by name.

    Returns:
      The state, on the same devices.
    """
    replaced = {
        name: jax.tree.map(
            lambda new, old: jax.device_put(np.asarray(new), old.sharding),
            tree,
            getattr(state.params, name),
        )
        for name, tree in trees.items()
    }
    return state._replace(params=state.params._replace(**replaced))
