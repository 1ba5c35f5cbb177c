"""Huge pages for the memory of a training step.

A step takes hundreds of MiB from the kernel and returns them. With 4 KiB pages that
means hundreds of thousands of page faults, a fifth of a meta-step's CPU time; with huge
pages the cost is negligible. glibc uses them only if its environment asks for them when
the process starts.
"""

import os
import sys

TUNABLES = "GLIBC_TUNABLES"
HUGE_PAGES = "glibc.malloc.hugetlb=1"


def restart_with_huge_pages() -> None:
    """Restarts this program in the same process with huge pages requested.

    Programs that train call this before anything else. It does nothing if it has been
    called before, on systems other than Linux, or if the user has set GLIBC_TUNABLES.
    """
    if sys.platform != "linux" or TUNABLES in os.environ:
        return
    os.environ[TUNABLES] = HUGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
