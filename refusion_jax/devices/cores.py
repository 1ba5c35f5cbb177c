"""Sharing the work among the cores of a CPU.

A single program keeps little more than one core busy: it processes the pieces of a
picture one after another, and each operation on a piece is too short to divide. A CPU
can therefore appear as several devices, one per core, each of which computes a part of
the batch (training) or of the picture (inference).
"""

import contextlib
import os

import jax


def largest_divisor(batch_size: int, limit: int) -> int:
    """Returns the largest divisor of a batch size that is at most `limit`.

    Args:
      batch_size: number of pairs.
      limit: at least 1.

    Returns:
      The number of equal parts, from 1 to `limit`.

    Examples:
      >>> largest_divisor(8, limit=6)
      4
    """
    return max(n for n in range(1, limit + 1) if batch_size % n == 0)


def core_count() -> int:
    """Returns how many cores this process may use; all, if that is unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def split_cpu(batch_size: int | None = None) -> None:
    """Makes the CPU appear as several devices, so that its cores share the work.

    This sets up the whole process and must precede the first computation with jax. It
    has no effect without a CPU backend.

    Args:
      batch_size: number of pairs that F sees in a training step; the number of devices
        is its largest divisor that does not exceed the number of cores. None for
        inference: one device per core.

    Raises:
      RuntimeError: if jax has already computed something.
    """
    cores = core_count()
    count = cores if batch_size is None else largest_divisor(batch_size, cores)
    jax.config.update("jax_num_cpu_devices", count)


def use_all_cores() -> None:
    """Splits the CPU for inference, unless it is too late or already configured.

    This calls `split_cpu` and so sets up the whole process. It does nothing if jax has
    already computed something, or if the number of CPU devices has been set by JAX's
    own means.
    """
    is_chosen = jax.config.values["jax_num_cpu_devices"] > 0
    if is_chosen or "host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    with contextlib.suppress(RuntimeError):
        split_cpu()


def training_options() -> dict[str, str]:
    """Returns XLA's compiler options for training programs, in `jax.jit`'s format.

    By default XLA:CPU starts each operation as early as it can. Where each core is a
    device of its own this gains nothing, and a meta-step needs 1.5 times the memory.

    Returns:
      Options for the default backend.
    """
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
