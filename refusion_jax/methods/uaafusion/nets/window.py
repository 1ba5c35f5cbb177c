"""Dense 3x3 convolution, fast in every derivative and inside loops.

With x[p + o] the picture shifted by one of nine offsets o,

    T(x, w, g) = sum over p, o, channels c, d of x[p + o, c] w[o, c, d] g[p, d]

is linear in each argument, and its three partial derivatives are the convolution, the
transposed convolution and the kernel's gradient. Each is bilinear, and its transposes
are the other two. Declared as primitives they need no other rule: those that JAX has
make convolutions that XLA runs some twenty times slower inside loops on CPUs.

A primitive is lowered outside `jax.default_matmul_precision`, so each carries the
precision that was the default where the convolution was called.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.interpreters import ad
from jaxtyping import Float

from refusion_jax.methods.primitive import declare

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def window_convolution(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "3 3 channels out"],
) -> Float[Array, "batch inner_height inner_width out"]:
    """Convolves without padding: the result is smaller by two rows and columns.

    Args:
      x: the features, NHWC.
      kernel: HWIO.
    """
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return _convolve_p.bind(x, kernel, precision=precision)


def _convolve(x: Array, w: Array, *, precision: str | None) -> Array:
    if x.dtype == jnp.float64:  # for which XLA has plain loops only on CPUs
        windows = jnp.concatenate(_taps(x, x.shape[1] - 2, x.shape[2] - 2), axis=-1)
        return jnp.matmul(windows, w.reshape(-1, w.shape[-1]))
    return lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=_LAYOUT, precision=precision
    )


def _transposed(g: Array, w: Array, *, precision: str | None) -> Array:
    g = jnp.pad(g, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return _convolve(g, w[::-1, ::-1].swapaxes(2, 3), precision=precision)


def _products(x: Array, g: Array, *, precision: str | None) -> Array:
    height, width, out = g.shape[1:]
    columns, taps = g.reshape(-1, out), _taps(x, height, width)
    if x.dtype == jnp.float64:  # one product instead of nine: tests compile sooner
        taps = [jnp.concatenate(taps, axis=-1)]
    products = [
        jnp.matmul(tap.reshape(len(columns), -1).T, columns, precision=precision)
        for tap in taps
    ]
    return jnp.stack(products).reshape(3, 3, x.shape[-1], out)


def _taps(x: Array, height: int, width: int) -> list[Array]:
    """Returns the picture shifted to each place of the window."""
    return [
        x[:, row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]


_convolve_p = declare("uaafusion_convolve", _convolve)
_transposed_p = declare("uaafusion_convolve_transposed", _transposed)
_products_p = declare("uaafusion_convolve_products", _products)

# One rule per argument: the transpose with respect to it.
ad.defbilinear(
    _convolve_p,
    lambda ct, x, w, **static: _transposed_p.bind(ct, w, **static),
    lambda ct, x, w, **static: _products_p.bind(x, ct, **static),
)
ad.defbilinear(
    _transposed_p,
    lambda ct, g, w, **static: _convolve_p.bind(ct, w, **static),
    lambda ct, g, w, **static: _products_p.bind(ct, g, **static),
)
ad.defbilinear(
    _products_p,
    lambda ct, x, g, **static: _transposed_p.bind(g, ct, **static),
    lambda ct, x, g, **static: _convolve_p.bind(x, ct, **static),
)
