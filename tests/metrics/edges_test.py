import jax.numpy as jnp
import numpy as np

from refusion_jax.metrics.edges import _arctan


def test_arctangents_are_those_of_numpy_in_every_direction(x64):
    side = np.arange(-1020, 1021, 17.0)
    y, x = (part.ravel() for part in np.meshgrid(side, side))
    angle = _arctan(*(jnp.asarray(part)[None] for part in (y, x, np.hypot(x, y))))[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where((x == 0) & (y == 0), 0, np.arctan(y / x))
    np.testing.assert_allclose(angle, expected, rtol=0, atol=1e-15)
