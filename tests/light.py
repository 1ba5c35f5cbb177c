"""Networks that compile in a moment, and methods of them."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from refusion_jax.methods import registry
from refusion_jax.methods.refusion.learner import ReFusionLearner
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.method import METHOD
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams
from refusion_jax.methods.refusion.state import init_state


def _mixes(params, count):
    """A few numbers that every entry of a tree has a share in."""
    means = jnp.stack([leaf.mean() for leaf in jax.tree.leaves(params)])
    return [means.mean() * (n + 1) for n in range(count)]


def _blend(params, source_a, source_b):
    gain_a, gain_b, bias = _mixes(params, 3)
    return jax.nn.sigmoid(gain_a * source_a + gain_b * source_b + bias)


def _rebuild(params, fused):
    gain_a, gain_b = _mixes(params, 2)
    return jax.nn.sigmoid(gain_a * fused), jax.nn.sigmoid(gain_b * fused)


def _weigh(params, source_a, source_b):
    gain_a, gain_b = _mixes(params, 2)
    logits = jnp.concatenate([gain_a * source_a, gain_b * source_b], axis=-1)
    return WeightMaps(jax.nn.softmax(logits), jax.nn.softmax(jnp.square(logits)))


NETS = Nets(fuse=_blend, reconstruct=_rebuild, propose=_weigh)


def register():
    """Returns ReFusion with `NETS`, registered under the name "light"."""
    method = dataclasses.replace(
        METHOD, name="light", learner=partial(ReFusionLearner, nets=NETS)
    )
    if method.name not in registry.names():
        registry.register(method)
    return method


class TinyLearner(ReFusionLearner):
    """A learner whose trees have three numbers each: a second to compile."""

    def init(self, key):
        """Returns the state before the first step."""
        keys = jax.random.split(key, 4)
        trees = [{"numbers": jax.random.normal(k, (3,))} for k in keys[:3]]
        return init_state(NetsParams(*trees), self._optimizers, keys[3])

    def look(self, params, batch):
        """Returns a picture of the first source."""
        return [{"fused": np.asarray(batch.source_a)[0, ..., 0]}]


def register_tiny():
    """Returns ReFusion with tiny trees, registered under the name "tiny"."""
    method = dataclasses.replace(
        METHOD,
        name="tiny",
        learner=partial(TinyLearner, nets=NETS),
        shapes=lambda name, leaves: {"numbers": (3,)},
        model=lambda *_: None,  # nothing is fused
        notes=lambda settings: {},
    )
    if method.name not in registry.names():
        registry.register(method)
    return method
