"""Devices in a row, for work that is divided along one axis."""

import jax
from jax.sharding import AxisType, Mesh


def device_mesh(count: int, axis: str) -> Mesh:
    """The first devices of this process in a row.

    Args:
      count: how many, at most `jax.local_device_count()`.
      axis: name of the mesh's only axis.

    Returns:
      The mesh.
    """
    devices = jax.local_devices()[:count]
    return jax.make_mesh(
        (count,), (axis,), devices=devices, axis_types=(AxisType.Auto,)
    )
