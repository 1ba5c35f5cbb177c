"""A network as a program of standard operations, for converters to other formats.

Converters know JAX's own primitives, not ours, and loops cost other runtimes dearly.
Here loops of fixed length are written out, our primitives become what they stand for,
and what depends on the weights alone is computed at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array


def plain(function: Callable[..., Array]) -> Callable[..., Array]:
    """The same function of arrays, made of standard operations.

    Args:
      function: of arrays, to an array; may loop by `scan`.

    Returns:
      A function to be traced by a converter.
    """

    def run(*args: Array) -> Array:
        # Traced apart: a converter may have replaced what `function` would call.
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in args]
        closed = jax.make_jaxpr(function)(*shapes)
        return _evaluate(closed.jaxpr, closed.consts, args)[0]

    return run


def _evaluate(
    jaxpr: core.Jaxpr, consts: Sequence[Any], args: Sequence[Any]
) -> list[Any]:
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        results = _apply(
            equation.primitive, [read(x) for x in equation.invars], equation.params
        )
        values.update(zip(equation.outvars, results, strict=True))
    return [read(x) for x in jaxpr.outvars]


def _apply(primitive: core.Primitive, args: list[Any], params: Any) -> Sequence[Any]:
    if primitive.name == "refusion_depthwise":
        return [_depthwise(*args, **params)]
    if primitive.name.startswith("refusion_"):
        return [primitive.impl(*args, **params)]
    if primitive.name == "scan":
        return _unrolled(args, **params)
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if isinstance(inner, core.ClosedJaxpr):
        return _evaluate(inner.jaxpr, inner.consts, args)
    if isinstance(inner, core.Jaxpr):
        return _evaluate(inner, [], args)
    if any(isinstance(x, jax.core.Tracer) for x in args):
        results = primitive.bind(*args, **params)
    else:
        with jax.ensure_compile_time_eval():
            results = primitive.bind(*args, **params)
    return results if primitive.multiple_results else [results]


def _unrolled(
    args: list[Any],
    *,
    jaxpr: core.ClosedJaxpr,
    length: int,
    num_consts: int,
    num_carry: int,
    reverse: bool,
    **_: Any,
) -> list[Any]:
    consts, rest = args[:num_consts], args[num_consts:]
    carry, stacked = rest[:num_carry], rest[num_carry:]
    steps = [
        [jax.lax.index_in_dim(x, i, keepdims=False) for x in stacked]
        for i in range(length)
    ]
    results: list[list[Any]] = []
    for inputs in reversed(steps) if reverse else steps:
        outputs = _evaluate(jaxpr.jaxpr, jaxpr.consts, [*consts, *carry, *inputs])
        carry = outputs[:num_carry]
        results.append(outputs[num_carry:])
    if reverse:
        results.reverse()
    return [*carry, *(jnp.stack(x) for x in zip(*results, strict=True))]


def _depthwise(extended: Array, kernel: Array, *, stride: int) -> Array:
    """As a convolution of the rows between the first and the last value of the halo."""
    channels = extended.shape[1]
    pictures = extended[..., 1:-1].reshape(extended.shape[0], channels, -1, stride)
    convolved = jax.lax.conv_general_dilated(
        pictures,
        kernel.reshape(channels, 1, 3, 3),
        window_strides=(1, 1),
        padding=((0, 0), (1, 1)),
        feature_group_count=channels,
    )
    return convolved.reshape(extended.shape[0], channels, -1)
