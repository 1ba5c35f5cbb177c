"""Data parallelism: each device computes its part of the batch.

Parameters are replicated on every device, pictures are divided along the batch axis. A
network that processes each picture independently exchanges only the sum of its
gradients, and the derivative of `shard_map` takes care of that. Losses and updates need
no change.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from refusion_jax.devices.cores import largest_divisor
from refusion_jax.devices.mesh import device_mesh

AXIS = "data"


def batch_mesh(device_count: int) -> Mesh:
    """Returns a mesh of devices that share a batch, with the axis "data"."""
    return device_mesh(device_count, AXIS)


def shared_mesh(batch_size: int) -> Mesh:
    """Returns a mesh of as many devices of every host as divide its share of a batch.

    Args:
      batch_size: pairs in a step.

    Returns:
      A mesh with the axis "data", the first host's devices first.

    Raises:
      ValueError: if the hosts cannot share the batch equally.
    """
    hosts = jax.process_count()
    if batch_size % hosts:
        raise ValueError(
            f"expected a batch that {hosts} hosts can share equally, got batch_size="
            f"{batch_size}; choose a multiple of {hosts}."
        )
    groups = [
        [device for device in jax.devices() if device.process_index == index]
        for index in range(hosts)
    ]
    each = largest_divisor(batch_size // hosts, min(map(len, groups)))
    devices = np.array([device for group in groups for device in group[:each]])
    return Mesh(devices, (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays that every device holds whole.

    These are parameters, scalars, and the pictures that batches are drawn from.
    """
    return NamedSharding(mesh, PartitionSpec())


def put_everywhere(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays to every device, those of other hosts included.

    Args:
      tree: a pytree of arrays, which keys may be among; the same on all hosts, which
        call this together.
      mesh: the devices.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, replicated(mesh))

    def put(leaf: Any) -> Any:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf)))
        local = np.asarray(leaf)
        return jax.make_array_from_process_local_data(replicated(mesh), local)

    return jax.tree.map(put, tree)


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
