"""Operations and bytes of a program, counted from what JAX traces.

The model of the bytes: products and convolutions read their operands from memory and
write their results; element-wise work happens on the way and moves nothing.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

import jax
from jax.extend import core

# Operations per element of the result; a multiplication and an addition are two.
ELEMENTWISE = frozenset(
    "abs add add_any and clamp cos div eq erf exp expm1 ge gt integer_pow le log log1p "
    "logistic lt max min mul ne neg not or pow rem rsqrt select_n sign sin sqrt square "
    "sub tanh xor".split()
)
WINDOWS = {
    "refusion_depthwise": 18,
    "refusion_depthwise_transposed": 18,
    "refusion_gather": 9,
    "refusion_spread_transposed": 9,
}
# Operations per element of the second operand.
TAP_PRODUCTS = ("refusion_tap_products", 18)


class Count(NamedTuple):
    """The work of a program.

    Attributes:
      operations: arithmetic; an exponential or a square root counts as one.
      bytes: read and written by products and convolutions.
    """

    operations: int
    bytes: int


def count(function: Callable[..., Any], *arguments: Any) -> Count:
    """Counts the work of one call.

    Args:
      function: any that JAX can trace.
      *arguments: arrays, or trees of them.

    Returns:
      The count; the body of a loop counts as often as it runs.

    Raises:
      ValueError: if a loop ends depending on values.
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr: core.Jaxpr) -> Count:
    counts = [_of_equation(equation) for equation in jaxpr.eqns]
    return Count(sum(x.operations for x in counts), sum(x.bytes for x in counts))


def _of_equation(equation: core.JaxprEqn) -> Count:
    name = equation.primitive.name
    if name == "while":
        raise ValueError("expected loops of known length, got a `while` loop.")
    inner = [_of_jaxpr(jaxpr) for jaxpr in _jaxprs(equation)]
    if name == "cond":
        return max(inner)
    if inner:
        times = equation.params["length"] if name == "scan" else 1
        return Count(
            times * sum(x.operations for x in inner),
            times * sum(x.bytes for x in inner),
        )
    operands: list[Any] = [x.aval for x in equation.invars]
    results: list[Any] = [x.aval for x in equation.outvars]
    if name in ELEMENTWISE:
        return Count(_size(results), 0)
    if name.startswith("reduce_"):
        return Count(_size(operands[:1]), 0)
    if name == "dot_general":
        contracted = equation.params["dimension_numbers"][0][0]
        depth = prod(operands[0].shape[axis] for axis in contracted)
        operations = 2 * depth * _size(results)
    elif name == "conv_general_dilated":
        features = equation.params["dimension_numbers"].rhs_spec[0]
        kernel = operands[1].shape
        operations = 2 * _size(results) * prod(kernel) // kernel[features]
    elif name in WINDOWS:
        operations = WINDOWS[name] * _size(results)
    elif name == TAP_PRODUCTS[0]:
        operations = TAP_PRODUCTS[1] * _size(operands[1:2])
    else:
        return Count(0, 0)
    moved = sum(x.size * x.dtype.itemsize for x in operands + results)
    return Count(operations, moved)


def _jaxprs(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    for value in equation.params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, core.ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, core.Jaxpr):
                yield one


def _size(arrays: list[Any]) -> int:
    return sum(x.size for x in arrays)
