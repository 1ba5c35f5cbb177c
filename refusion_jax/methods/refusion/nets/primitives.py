"""Operations with rules of our own: how they differentiate, and what XLA:CPU may fuse.

XLA:CPU computes anything cheap anew for each operation that reads it, across
optimization barriers too. A call that is not inlined is the one thing it leaves alone.
"""

import functools
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def declare(
    name: str, function: Callable[..., Array], *, once: bool = False
) -> Primitive:
    """A primitive that is evaluated, lowered and batched as the function is.

    Args:
      name: of the primitive.
      function: of arrays, and of static keyword arguments.
      once: on CPUs the result is computed once, whatever reads it.

    Returns:
      A primitive without derivatives yet.
    """
    primitive = Primitive(name)
    primitive.def_impl(
        lambda *args, **static: jax.jit(partial(function, **static))(*args)
    )

    @functools.cache
    def abstract(*args: jax.core.ShapedArray, **static: int) -> jax.core.ShapedArray:
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in args]
        result = jax.eval_shape(partial(function, **static), *shapes)
        return jax.core.ShapedArray(result.shape, result.dtype)

    def batch(args: tuple[Array, ...], axes: tuple, **static: int) -> tuple[Array, int]:
        in_axes = tuple(axes)  # None, which is what vmap wants too, where not mapped
        return jax.vmap(partial(function, **static), in_axes=in_axes)(*args), 0

    def call(*args: Array, **static: int) -> Array:
        with set_xla_metadata(inlineable="false"):
            return jax.jit(partial(function, **static))(*args)

    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    if once:
        called = mlir.lower_fun(call, multiple_results=False)
        mlir.register_lowering(primitive, called, platform="cpu")
    batching.primitive_batchers[primitive] = batch
    return primitive


def padded(x: Array, amount: int) -> Array:
    """Zeros on both ends of the last axis."""
    return _pad_p.bind(x, amount=amount)


def trimmed(x: Array, amount: int) -> Array:
    """`padded` undone."""
    return _trim_p.bind(x, amount=amount)


def computed_once(x: Array) -> Array:
    """The same, but on CPUs not computed anew for each reader."""
    return _keep_p.bind(x)


def _pad(x: Array, *, amount: int) -> Array:
    # XLA:CPU concatenates by copying, and pads element by element.
    zeros = jnp.zeros((*x.shape[:-1], amount), x.dtype)
    return jnp.concatenate([zeros, x, zeros], axis=-1)


def _trim(x: Array, *, amount: int) -> Array:
    return jax.lax.slice_in_dim(x, amount, x.shape[-1] - amount, axis=-1)


def _keep(x: Array) -> Array:
    return x


_pad_p = declare("refusion_pad", _pad, once=True)
_trim_p = declare("refusion_trim", _trim)
_keep_p = declare("refusion_keep", _keep, once=True)

for _one, _transposed in ((_pad_p, _trim_p), (_trim_p, _pad_p), (_keep_p, _keep_p)):
    ad.deflinear2(_one, lambda ct, x, p=_transposed, **static: [p.bind(ct, **static)])
