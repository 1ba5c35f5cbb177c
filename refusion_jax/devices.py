"""How many devices share a batch."""

import os

import jax


def most_that_divide(batch_size: int, limit: int) -> int:
    """The largest number of equal parts of a batch.

    Args:
      batch_size: pairs.
      limit: most parts, at least 1.

    Returns:
      From 1 to the limit.
    """
    return max(n for n in range(1, limit + 1) if batch_size % n == 0)


def split_cpu(batch_size: int) -> None:
    """Makes the CPU appear as several devices, so that its cores share each batch.

    One step keeps one core busy: strips follow each other (see `nets.strips`). To be
    called before anything is computed by jax; without a CPU backend it does nothing.

    Args:
      batch_size: pairs that F sees in a step.

    Raises:
      RuntimeError: if jax has computed something already.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    jax.config.update("jax_num_cpu_devices", most_that_divide(batch_size, cores))
