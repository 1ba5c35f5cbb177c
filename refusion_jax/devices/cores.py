"""The devices that share the work.

One program keeps little more than one core busy: pieces of a picture follow each other,
and each operation on a piece is too short to divide. So a CPU may appear as several
devices, one a core, each with a part of the batch (training) or of the picture
(inference).
"""

import contextlib
import os

import jax


def largest_divisor(batch_size: int, limit: int) -> int:
    """Returns the largest divisor of a batch size that is at most `limit`.

    Args:
      batch_size: pairs.
      limit: at least 1.

    Returns:
      The number of equal parts, from 1 to the limit.
    """
    return max(n for n in range(1, limit + 1) if batch_size % n == 0)


def split_cpu(batch_size: int | None = None) -> None:
    """Makes the CPU appear as several devices, so that its cores share the work.

    A setting of the whole process, to be called before anything is computed by jax;
    without a CPU backend it does nothing.

    Args:
      batch_size: pairs that F sees in a step of training; there will be as many devices
        as divide it. None for inference: as many as there are cores.

    Raises:
      RuntimeError: if jax has computed something already.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    count = cores if batch_size is None else largest_divisor(batch_size, cores)
    jax.config.update("jax_num_cpu_devices", count)


def use_all_cores() -> None:
    """`split_cpu` for inference, where that can be done and nobody chose otherwise.

    A setting of the whole process. It does nothing if jax has computed something
    already, or if the number of CPU devices is set by JAX's own means.
    """
    is_chosen = jax.config.values["jax_num_cpu_devices"] > 0
    if is_chosen or "host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    with contextlib.suppress(RuntimeError):
        split_cpu()


def training_options() -> dict[str, str]:
    """XLA's options for programs that train, as `jax.jit` takes them.

    By default XLA:CPU begins whatever it can as early as it can. Where each core is a
    device of its own nothing is gained by that, and a meta-step needs half as much
    memory again.

    Returns:
      Options for the default backend.
    """
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
