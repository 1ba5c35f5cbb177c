"""Contenders of this package; each runs in a process of its own, see `worker`."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from peers import files

from refusion_jax.array_types import Batch, Params
from refusion_jax.devices.cores import (
    largest_divisor,
    split_cpu,
    training_options,
    use_all_cores,
)
from refusion_jax.devices.data_parallel import batch_mesh, replicated
from refusion_jax.methods.refusion.forward import fuse_luminance, place
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.optimizers import make_optimizers
from refusion_jax.methods.refusion.state import (
    Pairs,
    Rates,
    TrainState,
    init_state,
    pairs_of,
)
from refusion_jax.methods.refusion.steps import Scalars, fusion_update, outer_update
from refusion_jax.weights.store import load_weights

# Adam's first moment after one step is this share of the gradient.
FIRST_MOMENT_SHARE = 0.1


def read_params(folder: str) -> networks.NetsParams:
    """Reads the folder's parameters onto the device."""
    trees = load_weights(f"{folder}/{files.WEIGHTS}").trees
    return jax.tree.map(jnp.asarray, networks.NetsParams(**trees))


class Inference:
    """F on pictures, as `Fuser` calls it: one pair after the other."""

    def __init__(self, folder: str) -> None:
        """Loads F and the pictures.

        Args:
          folder: as `peers.files` describes it.
        """
        use_all_cores()
        self._params = self._place(read_params(folder).fusion)
        inputs = files.read_inputs(folder)
        self._sources = [jnp.asarray(inputs[x]) for x in ("source_a", "source_b")]

    def first(self) -> dict[str, np.ndarray]:
        """Returns the fused pictures."""
        return {"fused": np.concatenate([np.asarray(x) for x in self._fuse()])}

    def run(self) -> None:
        """Fuses all pairs once."""
        jax.block_until_ready(self._fuse())

    def _place(self, params: Params) -> Params:
        return place(params)

    def _fuse(self) -> list[jax.Array]:
        pairs = zip(*self._sources, strict=True)
        return [fuse_luminance(self._params, a, b)[None] for a, b in pairs]


class Forward(Inference):
    """F on the whole batch in one jitted call, on one device."""

    def _place(self, params: Params) -> Params:
        return params

    def _fuse(self) -> list[jax.Array]:
        return [_forward(self._params, *self._sources)]


_forward = jax.jit(networks.fuse)


class Training:
    """A step of the trainer on fixed batches, one step per call.

    Attributes:
      update: (state, inner batch, outer batch) -> (state, scalars), jitted.
    """

    def __init__(
        self, folder: str, step: str, divided: bool = True, **options: Any
    ) -> None:
        """Loads networks and batches.

        Args:
          folder: as `peers.files` describes it.
          step: "fusion" or "meta".
          divided: cores count as devices, and all devices share the batch.
          **options: of `steps.outer_update`.
        """
        inputs = files.read_inputs(folder)
        pictures = len(inputs["inner_a"])
        if divided:
            split_cpu(pictures)
        device_count = largest_divisor(pictures, jax.device_count() if divided else 1)
        mesh = batch_mesh(device_count)
        nets = networks.Nets()
        if device_count > 1:
            nets = nets.divided(mesh)
        rate = float(inputs["learning_rate"])
        optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
        common: dict[str, Any] = {
            "objectives": Objectives(nets=nets),
            "optimizers": optimizers,
            "rates": Rates(rate, rate, rate, 1.0),
        }
        update = {
            "meta": partial(outer_update, **common, **options),
            "fusion": partial(_fusion_update, **common),
        }[step]
        everywhere = replicated(mesh)
        self.update = jax.jit(
            update, out_shardings=everywhere, compiler_options=training_options()
        )
        self._state = jax.device_put(
            init_state(read_params(folder), optimizers, jax.random.key(0)), everywhere
        )
        self._batches = jax.device_put(
            [
                pairs_of(Batch(*(jnp.asarray(inputs[f"{x}_{side}"]) for side in "ab")))
                for x in ("inner", "outer")
            ],
            everywhere,
        )
        self._step = step

    @property
    def arguments(self) -> tuple[TrainState, Pairs, Pairs]:
        """Arguments of the next step."""
        inner, outer = self._batches
        return self._state, inner, outer

    def first(self) -> dict[str, np.ndarray]:
        """Returns the losses and gradients of the first step, by name."""
        scalars = self._advance()
        values = {
            name: np.asarray(scalars[name])
            for name in ("fusion_loss", "reconstruction_loss")
        }
        moments = self._state.opt_states
        if self._step == "meta":
            return {**values, "meta_grads": _grads(moments.proposal.mu)}
        return {
            **values,
            "fusion_grads": _grads(moments.fusion.mu),
            "reconstruction_grads": _grads(moments.reconstruction.mu),
        }

    def run(self) -> None:
        """Makes one step."""
        self._advance()

    def compile(self) -> tuple[float, int]:
        """Returns the seconds to compile the step, and the bytes of its temporaries."""
        with jax.default_matmul_precision("highest"):
            return _compile(self.update, *self.arguments)

    def _advance(self) -> Scalars:
        # Meta-gradients are too small for TF32; the trainer does the same.
        with jax.default_matmul_precision("highest"):
            self._state, scalars = self.update(*self.arguments)
        return jax.block_until_ready(scalars)


def _fusion_update(
    state: TrainState, batch: Pairs, _: Pairs, **options: Any
) -> tuple[TrainState, Scalars]:
    return fusion_update(state, batch, **options)


def _grads(first_moment: Params) -> np.ndarray:
    leaves = jax.tree.map(np.asarray, flatten_dict(first_moment, sep="/"))
    return files.flat(leaves) / FIRST_MOMENT_SHARE


def _compile(function: jax.stages.Wrapped, *args: Any) -> tuple[float, int]:
    started = time.perf_counter()
    compiled = function.lower(*args).compile()
    seconds = time.perf_counter() - started
    memory = compiled.memory_analysis()
    if memory is None:
        raise RuntimeError("expected XLA's plan of memory, got none from this device.")
    return seconds, memory.temp_size_in_bytes


def compile_step(folder: str, step: str, **options: Any) -> dict[str, float]:
    """Compiles a training step on one device.

    Args:
      folder, step, **options: of `Training`.

    Returns:
      "seconds" to compile, and bytes of "temporaries".
    """
    training = Training(folder, step, divided=False, **options)
    seconds, temporaries = training.compile()
    return {"seconds": seconds, "temporaries": temporaries}


def compile_forward(height: int, width: int) -> dict[str, float]:
    """Compiles F for one pair.

    Args:
      height, width: of the pictures.

    Returns:
      As `compile_step`.
    """
    params = networks.init_params(jax.random.key(0)).fusion
    image = jax.ShapeDtypeStruct((1, height, width, 1), jnp.float32)
    seconds, temporaries = _compile(jax.jit(networks.fuse), params, image, image)
    return {"seconds": seconds, "temporaries": temporaries}
