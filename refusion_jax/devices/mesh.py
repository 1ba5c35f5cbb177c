"""One-dimensional meshes, for work that is divided along one axis."""

import jax
from jax.sharding import AxisType, Mesh


def device_mesh(count: int, axis: str) -> Mesh:
    """Returns a one-dimensional mesh of this process's first devices.

    Args:
      count: number of devices, at most `jax.local_device_count()`.
      axis: name of the mesh's only axis.
    """
    devices = jax.local_devices()[:count]
    return jax.make_mesh(
        (count,), (axis,), devices=devices, axis_types=(AxisType.Auto,)
    )
