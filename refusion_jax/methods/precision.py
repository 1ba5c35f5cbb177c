"""The precision of the networks: an explicit choice; float32 is the default.

float32   Every matrix product in full float32; by default accelerators would use
          fewer digits.
tf32      Operands of matrix products rounded to 10 bits where the device supports it
          (NVIDIA GPUs from Ampere on); the same as float32 elsewhere.
bfloat16  Parameters and features have 8 significant bits and take half the memory;
          attention matrices, which are sums over all pixels, and results are float32.

The meta-gradient is too small for anything but float32 (1e-8 to 1e-5).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from refusion_jax.methods.setting import PRECISIONS

# Names for jax.default_matmul_precision; in bfloat16 nothing is left to round.
_PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}


def check_precision(precision: str) -> None:
    """Raises unless `precision` is one of PRECISIONS.

    Args:
      precision: the name to check.

    Raises:
      ValueError: for any other name; the message lists the choices.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"expected precision to be one of {', '.join(PRECISIONS)}, "
            f"got {precision!r}; choose one of these."
        )


def in_precision(function: Callable[..., Any], precision: str) -> Callable[..., Any]:
    """Returns a network that computes in a given precision, derivatives included.

    Args:
      function: a pure function of trees of float32 arrays; integer arrays in them are
        left alone.
      precision: one of PRECISIONS.

    Returns:
      The function in that precision; its arguments and results are still float32.

    Raises:
      ValueError: for an unknown precision.
    """
    check_precision(precision)

    @functools.wraps(function)
    def computed(*args: Any) -> Any:
        with jax.default_matmul_precision(_PRODUCTS[precision]):
            if precision != "bfloat16":
                return function(*args)
            return _cast(function(*_cast(args, jnp.bfloat16)), jnp.float32)

    return computed


def at_least_float32(x: Array) -> Array:
    """Casts bfloat16 to float32, against further rounding; keeps other types."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _cast(tree: Any, dtype: Any) -> Any:
    def cast(x: Any) -> Any:
        is_float = jnp.issubdtype(jnp.result_type(x), jnp.floating)
        return jnp.asarray(x, dtype) if is_float else x

    return jax.tree.map(cast, tree)
