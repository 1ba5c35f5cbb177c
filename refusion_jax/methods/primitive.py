"""Primitives of our own: functions that JAX evaluates, lowers and batches as they are.

XLA:CPU recomputes anything cheap for each operation that reads it, even across
optimization barriers. Only a call that is not inlined is left alone.
"""

import functools
from collections.abc import Callable
from functools import partial

import jax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jaxtyping import Array

from refusion_jax.array_types import Extent


def declare(
    name: str,
    function: Callable[..., Array],
    *,
    once: bool = False,
    on_gpu: Callable[..., Array] | None = None,
) -> Primitive:
    """Declares a primitive that is evaluated, lowered and batched like a function.

    Args:
      name: the primitive's name.
      function: a function of arrays and static keyword arguments.
      once: whether CPUs compute the result only once, however many operations read it.
      on_gpu: the same function as GPUs compute it best, if that is another way; mapped
        by vmap, they compute `function`, too.

    Returns:
      The primitive, without rules for derivatives.
    """
    primitive = Primitive(name)
    primitive.def_impl(
        lambda *args, **static: jax.jit(partial(function, **static))(*args)
    )

    @functools.cache
    def abstract(*args: jax.core.ShapedArray, **static: Extent) -> jax.core.ShapedArray:
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in args]
        result = jax.eval_shape(partial(function, **static), *shapes)
        return jax.core.ShapedArray(result.shape, result.dtype)

    def batch(
        args: tuple[Array, ...], axes: tuple, **static: Extent
    ) -> tuple[Array, int]:
        in_axes = tuple(axes)  # None for what is not mapped, as in vmap
        return jax.vmap(partial(function, **static), in_axes=in_axes)(*args), 0

    def call(*args: Array, **static: Extent) -> Array:
        with set_xla_metadata(inlineable="false"):
            return jax.jit(partial(function, **static))(*args)

    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    if once:
        called = mlir.lower_fun(call, multiple_results=False)
        mlir.register_lowering(primitive, called, platform="cpu")
    if on_gpu is not None:
        lowered = mlir.lower_fun(on_gpu, multiple_results=False)
        mlir.register_lowering(primitive, lowered, platform="gpu")
    batching.primitive_batchers[primitive] = batch
    return primitive
