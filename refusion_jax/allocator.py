"""The C library's allocator, told what a training step is like."""

import ctypes
import os
import sys

# Names and numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT = 1 << 30


def keep_freed_memory() -> None:
    """Keeps freed memory, up to a gigabyte of it, for the next step.

    A training step frees hundreds of megabytes at its end and asks for them again at
    the next one's beginning. glibc would hand them back to the kernel, and each page
    would be a page fault again: a tenth of a step's time.

    A setting of the whole process, for before the first computation: threads that
    have allocated something already keep their own heaps, which are too small for such
    buffers. It does nothing where the C library is not glibc, or where the environment
    tunes it (MALLOC_..., GLIBC_TUNABLES).
    """
    is_tuned = any(x.startswith(("MALLOC_", "GLIBC_TUNABLES")) for x in os.environ)
    if is_tuned or sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
