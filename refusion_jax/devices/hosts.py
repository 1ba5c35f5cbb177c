"""Several hosts that train as one, by JAX's own distributed runtime.

A host is a process with devices of its own, usually one per machine. Each runs the same
program; arrays live on the devices of all. The first writes the files of a run.
"""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from refusion_jax.devices.guard import end_as_lost

AUTO = "auto"
# In seconds: a host that has been silent for so long counts as lost, and so long the
# others are waited for at the start.
HEARTBEAT, PATIENCE = 30, 300
REPORTING = 3  # seconds in which an error is reported before this process ends

# What JAX's runtime writes when it ends this process, and what we say.
TRACE = "JAX distributed service detected fatal errors"
LOST = (
    "another host has ended or cannot be reached; start all of them again with the "
    "same commands, which resume from the last checkpoint."
)


class HostLostError(RuntimeError):
    """Raised on the other hosts when one has ended or cannot be reached."""


def join(
    coordinator: str | None, count: int | None = None, index: int | None = None
) -> None:
    """Joins the other hosts; before anything is computed.

    Args:
      coordinator: `NAME:PORT` of the first host, the same on all; `auto` asks the
        cluster's environment (SLURM, Open MPI, Kubernetes, Cloud TPU), as JAX does.
        None joins none.
      count: number of hosts; None asks the environment.
      index: of this host, from 0; None asks the environment.

    Raises:
      HostLostError: if the others do not come within `PATIENCE` seconds.
      ValueError: for an address, a count or an index that cannot be.
    """
    if coordinator is None:
        if count is None and index is None:
            return
        raise ValueError(
            "expected --coordinator with --hosts and --host, got none; name the first "
            f"host as NAME:PORT, or {AUTO} on a cluster."
        )
    if coordinator != AUTO and not re.fullmatch(r"\S+:\d+", coordinator):
        raise ValueError(
            f"expected a coordinator as NAME:PORT or {AUTO}, got {coordinator!r}; name "
            "the first host and a free port of it, as in node1:29500."
        )
    if coordinator != AUTO and (count is None or index is None):
        raise ValueError(
            "expected --hosts and --host with --coordinator, got one of them or none; "
            "say how many hosts there are, and which of them this is, from 0."
        )
    if count is not None and index is not None and not 0 <= index < count:
        raise ValueError(
            f"expected a host from 0 to {count - 1}, got {index}; the first is 0."
        )
    try:
        jax.distributed.initialize(
            None if coordinator == AUTO else coordinator,
            count,
            index,
            initialization_timeout=PATIENCE,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except ValueError as error:
        raise ValueError(
            "expected a cluster that says where its hosts are, got none; name them "
            "with --coordinator=NAME:PORT --hosts=N --host=I."
        ) from error
    except jax.errors.JaxRuntimeError as error:
        raise HostLostError(
            f"expected all hosts at {coordinator} within {PATIENCE} s, got fewer; "
            "start the others with the same command and their own --host."
        ) from error


def is_first() -> bool:
    """Returns whether this host writes the files of a run."""
    return jax.process_index() == 0


def highest(number: int) -> int:
    """Returns the highest number of all hosts; all must call this together.

    Args:
      number: this host's.
    """
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def unlike_first(text: str) -> list[int]:
    """Returns the hosts whose text differs from the first one's; all call together.

    Args:
      text: this host's.
    """
    if jax.process_count() == 1:
        return []
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
    digests = multihost_utils.process_allgather(digest)
    return np.flatnonzero((digests != digests[0]).any(axis=1)).tolist()


def on_this_host(tree: Any) -> Any:
    """Returns what every device holds whole as arrays of this host's first device.

    Args:
      tree: a pytree of arrays, which keys may be among; on a single host itself.
    """
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def joined(parts: Any, mesh: Mesh) -> Any:
    """Makes arrays of the parts that each host has, whole on every device.

    Args:
      parts: a pytree of arrays, whose second axis is divided among the hosts in order.
      mesh: devices of all hosts, as many of each.

    Returns:
      Arrays on the devices; on a single host the parts themselves.
    """
    if jax.process_count() == 1:
        return parts
    by_host = NamedSharding(mesh, PartitionSpec(None, mesh.axis_names[0]))
    arrays = jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(by_host, x), parts
    )
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.jit(lambda x: x, out_shardings=whole)(arrays)


@contextmanager
def together(*agreed: type[Exception]) -> Iterator[None]:
    """Ends this process at once after an error, so that the other hosts notice.

    They would wait in the next exchange; and this one, as it exits, for them.

    Args:
      *agreed: errors that all hosts raise together.

    Raises:
      HostLostError: where an exchange with the other hosts has failed.
    """
    try:
        yield
    except agreed:
        raise
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        if _is_of_exchange(error):
            end_as_lost()
            _exit_soon()
            raise HostLostError(LOST) from error
        _exit_soon()
        raise


def _is_of_exchange(error: BaseException) -> bool:
    kinds = (jax.errors.JaxRuntimeError, ConnectionError)
    # Gloo's, by which CPUs exchange, arrive as ValueErrors too.
    return isinstance(error, kinds) or "Gloo" in str(error)


def _exit_soon() -> None:
    """Ends this process, once whoever catches the error has reported it.

    An exit of Python's own would wait for threads of Orbax and JAX, and these for the
    other hosts.
    """
    timer = threading.Timer(REPORTING, os._exit, (1,))
    timer.daemon = True
    timer.start()
