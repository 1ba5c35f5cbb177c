"""Networks over several devices: each computes its part of the batch.

Parameters are on every device, pictures are divided along the batch. A network that
treats each picture by itself exchanges nothing but the sum of its gradients, which the
derivative of `shard_map` brings with it. Losses and updates stay as they are.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from refusion_jax.devices.mesh import device_mesh

AXIS = "data"


def batch_mesh(device_count: int) -> Mesh:
    """Devices that share a batch: a mesh with the axis "data"."""
    return device_mesh(device_count, AXIS)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole: parameters, scalars, pictures."""
    return NamedSharding(mesh, PartitionSpec())


def divided(function: Callable[..., Any], *, pictures: int, mesh: Mesh) -> Any:
    """Divides the batch of a function over a mesh, whose size must divide the batch.

    Args:
      function: pure, of parameters and batches of pictures; each picture by itself.
      pictures: how many of its arguments are batches; they follow the parameters.
      mesh: with the axis "data".

    Returns:
      The same function, to every derivative.
    """
    batch = PartitionSpec(AXIS)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(PartitionSpec(), *[batch] * pictures),
        out_specs=batch,
        # Our primitives do not say which of their values are the same on every device;
        # the transposes add up what they should without it.
        check_vma=False,
    )
