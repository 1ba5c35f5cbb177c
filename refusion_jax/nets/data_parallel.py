"""The networks over several devices: each takes its part of the batch.

Parameters are on every device, pictures are divided along the batch. F, R and P treat
each picture by itself, so nothing is exchanged but the sum of the gradients, which the
derivative of `shard_map` brings with it. Losses and updates stay as they are.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from refusion_jax.nets import Nets
from refusion_jax.nets.mesh import device_mesh

AXIS = "data"


def batch_mesh(device_count: int) -> Mesh:
    """Devices that share a batch: a mesh with the axis "data"."""
    return device_mesh(device_count, AXIS)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole: parameters, scalars, pictures."""
    return NamedSharding(mesh, PartitionSpec())


def divide_batch(nets: Nets, mesh: Mesh) -> Nets:
    """Networks whose batch is divided over a mesh; its size must divide the batch's.

    Args:
      nets: pure functions of parameters and pictures.
      mesh: with the axis "data".

    Returns:
      The same functions, to every derivative.
    """
    batch = PartitionSpec(AXIS)

    def divided(function: Callable[..., Any], pictures: int) -> Any:
        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=(PartitionSpec(), *[batch] * pictures),
            out_specs=batch,
            # Our primitives do not say which of their values are the same on every
            # device; the transposes add up what they should without it.
            check_vma=False,
        )

    return Nets(
        fuse=divided(nets.fuse, 2),
        reconstruct=divided(nets.reconstruct, 1),
        propose=divided(nets.propose, 2),
    )
