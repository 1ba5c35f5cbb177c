"""How exactly the networks compute: an explicit choice, float32 unless it is made.

float32   Every matrix product in full. Accelerators would take fewer digits unasked.
tf32      Operands of matrix products rounded to 10 bits, where the device has such
          products (NVIDIA's, from Ampere on); elsewhere the same as float32.
bfloat16  Parameters and features of 8 significant bits, half the memory; attention
          matrices, which are sums over all pixels, and results in float32.

The meta-gradient is too small for anything but float32 (1e-8 to 1e-5).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from refusion_jax.methods.setting import PRECISIONS

# What jax.default_matmul_precision calls them; bfloat16 has nothing left to round.
_PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}


def check_precision(precision: str) -> None:
    """Refuses an unknown name.

    Args:
      precision: one of PRECISIONS, it is hoped.

    Raises:
      ValueError: saying which there are.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"expected precision among {', '.join(PRECISIONS)}, got {precision!r}; "
            "choose one of these."
        )


def in_precision(function: Callable[..., Any], precision: str) -> Callable[..., Any]:
    """A network that computes in this precision, and so do its derivatives.

    Args:
      function: pure, of trees of float32 arrays; integers among them stay.
      precision: one of PRECISIONS.

    Returns:
      The function; its arguments and results are float32 as before.

    Raises:
      ValueError: for an unknown precision.
    """
    check_precision(precision)

    def computed(*args: Any) -> Any:
        with jax.default_matmul_precision(_PRODUCTS[precision]):
            if precision != "bfloat16":
                return function(*args)
            return _cast(function(*_cast(args, jnp.bfloat16)), jnp.float32)

    return computed


def at_least_float32(x: Array) -> Array:
    """What must not be rounded further: bfloat16 as float32, anything else as it is."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _cast(tree: Any, dtype: Any) -> Any:
    def cast(x: Any) -> Any:
        is_float = jnp.issubdtype(jnp.result_type(x), jnp.floating)
        return jnp.asarray(x, dtype) if is_float else x

    return jax.tree.map(cast, tree)
