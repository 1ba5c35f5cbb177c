"""Data parallelism: each device computes its part of the batch.

Parameters are replicated on every device, pictures are divided along the batch axis. A
network that processes each picture independently exchanges only the sum of its
gradients, and the derivative of `shard_map` takes care of that. Losses and updates need
no change.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from refusion_jax.devices.mesh import device_mesh

AXIS = "data"


def batch_mesh(device_count: int) -> Mesh:
    """Returns a mesh of devices that share a batch, with the axis "data"."""
    return device_mesh(device_count, AXIS)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays that every device holds whole.

    These are parameters, scalars, and the pictures that batches are drawn from.
    """
    return NamedSharding(mesh, PartitionSpec())


def divided(function: Callable[..., Any], *, pictures: int, mesh: Mesh) -> Any:
    """Divides a function's batch over a mesh; the mesh's size must divide the batch.

    Args:
      function: a pure function of parameters and batches of pictures that processes
        each picture independently.
      pictures: number of its batch arguments, which follow the parameters.
      mesh: a mesh with the axis "data".

    Returns:
      A function with the same values and the same derivatives of every order.
    """
    batch = PartitionSpec(AXIS)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(PartitionSpec(), *[batch] * pictures),
        out_specs=batch,
        # Our primitives do not declare which of their values are equal on all devices.
        # The check would need that; the transposes sum correctly without it.
        check_vma=False,
    )
