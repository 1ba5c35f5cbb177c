"""F, the unfolding network: five stages, each a data step and a proximal network.

    F0  = f - rho (f - (w_i i + w_v v))               the data step
    F1  = c1(F0)
    F2  = c2([F1, m_l, m_s])                          with long and short memory
    F3  = F2 + c3(F2) * sigmoid(A)                    attribution attention
    f   = sigmoid(c4(F3))                             the stage's output
    h,c = LSTM(c5([F1, F2, F3]); h, c);  m_l = c6(h);  m_s = F3

i and v are source a and source b, f starts as their mean. c1 to c6 are units of two
convolutions; no stage shares a parameter with another.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.uaafusion.nets.layers import (
    Features,
    conv_unit,
    convolution,
    init_conv_unit,
    init_convolution,
)

STAGES, WIDTH = 5, 32
FIRST_STEP_SIZE = 0.001
# f^(k) -> (g, anything to collect): the increment of the pathway attribution is
# g * (f^(k) - f^(k-1)), see `attribution.pathway`.
Guide = Callable[[Image], tuple[Image, Any]]


class Memory(NamedTuple):
    """What a stage hands to the next, besides its output.

    Attributes:
      long_term, short_term: m_l and m_s.
      hidden, cell: h and c of the LSTM.
    """

    long_term: Features
    short_term: Features
    hidden: Features
    cell: Features


class Stage(NamedTuple):
    """What one stage computes.

    Attributes:
      fused: its output f^(k), in (0, 1).
      attention: A_k as used, before the sigmoid.
      prox_input: F0, what the data step hands over.
      features: F1, F2, F3 along channels; None where they are not kept.
    """

    fused: Image
    attention: Image
    prox_input: Image
    features: Features | None


class Unfolding(NamedTuple):
    """What F computes of one batch.

    Attributes:
      fused: f^(5), in (0, 1).
      stages: the stages along a leading axis; without features unless asked for.
      memories: handed over by stages 1 to 4, along a leading axis; None unless asked
        for.
      collected: what the guide collected from f^(1) to f^(4), along a leading axis.
    """

    fused: Image
    stages: Stage
    memories: Memory | None
    collected: Any


def unfold(
    params: Params,
    source_a: Image,
    source_b: Image,
    *,
    target: Image | None = None,
    guide: Guide | None = None,
    scale: Callable[[Image], Image] = lambda attention: attention,
    is_traced: bool = False,
) -> Unfolding:
    """Runs F.

    Args:
      params: theta_F, as `init_fusion` makes them.
      source_a, source_b: luminance in [0, 1]; at least 2 x 2 pixels.
      target: w_i i + w_v v, which the data step approaches; None leaves the data step
        out, as in the released code.
      guide: the gradient of the pathway attribution; None: no attention, A_k = 0.
      scale: applied to A_k before the sigmoid.
      is_traced: whether to return features and memories too, which takes memory.

    Returns:
      The fused picture and what led to it. No derivative passes through the guide.
    """
    parts = params["stages"]
    # Without a target they are not used, and need not be there.
    step_sizes = params["step_sizes"] if target is not None else jnp.zeros((STAGES,))
    start = 0.5 * (source_a + source_b)
    memory = _start(params["start"], source_a, source_b)
    none = jnp.zeros_like(start)

    def head(part: Params, rho: Array, f: Image, a: Image, memory: Memory) -> Stage:
        prox_input = f if target is None else f - rho * (f - target)
        first = conv_unit(part["features"], prox_input)
        recalled = [first, memory.long_term, memory.short_term]
        second = conv_unit(part["recall"], jnp.concatenate(recalled, axis=-1))
        gate = jax.nn.sigmoid(a)
        third = second + conv_unit(part["attention"], second) * gate
        fused = jax.nn.sigmoid(conv_unit(part["output"], third))
        features = jnp.concatenate([first, second, third], axis=-1)
        return Stage(fused, a, prox_input, features)

    first = head(_of(parts, 0), step_sizes[0], start, none, memory)

    # The memory of a stage is computed when the next one needs it, so that nothing is
    # computed after the last.
    def step(carry: Any, xs: Any) -> Any:
        stage, before, path, memory = carry
        k, part, next_part, rho = xs
        features = cast(Features, stage.features)
        memory = remember(part, features, memory, is_first=k == 1)
        collected: Any = ()
        if guide is not None:
            gradient, collected = guide(lax.stop_gradient(stage.fused))
            path = path + lax.stop_gradient(gradient * (stage.fused - before))
        attention = scale(path / k.astype(path.dtype)) if guide is not None else none
        following = head(next_part, rho, stage.fused, attention, memory)
        traced = following if is_traced else following._replace(features=None)
        kept = memory if is_traced else None
        return (following, stage.fused, path, memory), (traced, kept, collected)

    xs = (
        jnp.arange(1, STAGES),
        jax.tree.map(lambda leaf: leaf[:-1], parts),
        jax.tree.map(lambda leaf: leaf[1:], parts),
        step_sizes[1:],
    )
    carry = (first, start, none, memory)
    (last, *_), (others, memories, collected) = lax.scan(step, carry, xs)
    shown = first if is_traced else first._replace(features=None)
    stages = jax.tree.map(
        lambda one, more: jnp.concatenate([one[None], more]), shown, others
    )
    return Unfolding(last.fused, stages, memories, collected)


def remember(
    part: Params, features: Features, memory: Memory, *, is_first: bool | Array
) -> Memory:
    """Returns the memory that a stage hands over.

    Args:
      part: the stage's parameters.
      features: F1, F2, F3 along channels.
      memory: which it was handed itself.
      is_first: whether it is the first stage. There the gates depend on the features
        alone and h = o * c, without the tanh, as in the released code; the paper's
        figure shows the tanh.
    """
    lstm = part["lstm"]
    combined = conv_unit(part["combine"], features)
    # h is 0 before the first stage, where its bias must not count either.
    is_later = jnp.where(is_first, 0, 1).astype(combined.dtype)
    both = {
        "kernel": jnp.concatenate(
            [lstm["input"]["kernel"], lstm["hidden"]["kernel"]], axis=-2
        ),
        "bias": lstm["input"]["bias"] + is_later * lstm["hidden"]["bias"],
    }
    x = jnp.concatenate([combined, memory.hidden], axis=-1)
    gates = jnp.split(convolution(both, x, padding="reflect"), 4, axis=-1)
    forget, put, show = (jax.nn.sigmoid(gate) for gate in gates[:3])
    cell = forget * memory.cell + put * jnp.tanh(gates[3])
    hidden = show * jnp.where(is_first, cell, jnp.tanh(cell))
    short_term = features[..., -WIDTH:]
    return Memory(conv_unit(part["long_term"], hidden), short_term, hidden, cell)


def init_fusion(key: Array) -> Params:
    """Draws theta_F as PyTorch does by default: 1,010,380 parameters, stages stacked.

    `start/unused` is a unit of the released code that no one calls; it is kept so that
    weight files convert without a loss.

    Args:
      key: random key.
    """
    keys = jax.random.split(key, STAGES + 3)
    half = WIDTH // 2
    return {
        "step_sizes": jnp.full((STAGES,), FIRST_STEP_SIZE, jnp.float32),
        "start": {
            "source_a": init_conv_unit(keys[-3], 1, half, half),
            "source_b": init_conv_unit(keys[-2], 1, half, half),
            "unused": init_conv_unit(keys[-1], WIDTH, WIDTH, 1),
        },
        "stages": jax.vmap(_init_stage)(keys[:STAGES]),
    }


def _init_stage(key: Array) -> Params:
    keys = iter(jax.random.split(key, 8))
    return {
        "features": init_conv_unit(next(keys), 1, WIDTH, WIDTH),
        "recall": init_conv_unit(next(keys), 3 * WIDTH, WIDTH, WIDTH),
        "attention": init_conv_unit(next(keys), WIDTH, WIDTH, WIDTH),
        "output": init_conv_unit(next(keys), WIDTH, WIDTH // 2, 1),
        "combine": init_conv_unit(next(keys), 3 * WIDTH, WIDTH, WIDTH),
        "lstm": {
            "input": init_convolution(next(keys), WIDTH, 4 * WIDTH),
            "hidden": init_convolution(next(keys), WIDTH, 4 * WIDTH),
        },
        "long_term": init_conv_unit(next(keys), WIDTH, WIDTH, WIDTH),
    }


def _start(params: Params, source_a: Image, source_b: Image) -> Memory:
    parts = (
        conv_unit(params["source_a"], source_a),
        conv_unit(params["source_b"], source_b),
    )
    memory = jnp.concatenate(parts, axis=-1)
    none = jnp.zeros_like(memory)
    return Memory(memory, memory, none, none)


def _of(parts: Params, index: int) -> Params:
    return jax.tree.map(lambda leaf: leaf[index], parts)
