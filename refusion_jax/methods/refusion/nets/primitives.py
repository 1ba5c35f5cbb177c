"""Padding, trimming and keeping, with rules of our own for fusion by XLA:CPU.

See `methods.primitive` for what XLA would otherwise compute twice.
"""

import jax
import jax.numpy as jnp
from jax.interpreters import ad
from jaxtyping import Array

from refusion_jax.array_types import Extent
from refusion_jax.methods.primitive import declare


def padded(x: Array, amount: Extent) -> Array:
    """Adds `amount` zeros at both ends of the last axis."""
    return _pad_p.bind(x, amount=amount)


def trimmed(x: Array, amount: Extent) -> Array:
    """Removes `amount` values at both ends of the last axis: undoes `padded`."""
    return _trim_p.bind(x, amount=amount)


def computed_once(x: Array) -> Array:
    """Returns x, which XLA:CPU then does not recompute for each of its readers."""
    return _keep_p.bind(x)


def _pad(x: Array, *, amount: Extent) -> Array:
    # Concatenated, because XLA:CPU copies whole arrays then, but pads by elements.
    zeros = jnp.zeros((*x.shape[:-1], amount), x.dtype)
    return jnp.concatenate([zeros, x, zeros], axis=-1)


def _trim(x: Array, *, amount: Extent) -> Array:
    return jax.lax.slice_in_dim(x, amount, x.shape[-1] - amount, axis=-1)


def _keep(x: Array) -> Array:
    return x


_pad_p = declare("refusion_pad", _pad, once=True)
_trim_p = declare("refusion_trim", _trim)
_keep_p = declare("refusion_keep", _keep, once=True)

for _one, _transposed in ((_pad_p, _trim_p), (_trim_p, _pad_p), (_keep_p, _keep_p)):
    ad.deflinear2(_one, lambda ct, x, p=_transposed, **static: [p.bind(ct, **static)])
