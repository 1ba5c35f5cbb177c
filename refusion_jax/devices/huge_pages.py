"""Huge pages for the memory of a training step.

A step takes hundreds of MiB from the kernel and gives them back. In pages of 4 KiB that
are hundreds of thousands of page faults, a fifth of a meta-step's CPU time; in huge
pages it is next to nothing. Only the environment that glibc finds at the start of a
process can ask for them.
"""

import os
import sys

TUNABLES = "GLIBC_TUNABLES"
HUGE_PAGES = "glibc.malloc.hugetlb=1"


def restart_with_huge_pages() -> None:
    """Starts this program anew, in the same process, with huge pages asked for.

    To be called first, by programs that train. It does nothing where it was called
    before, on other systems than Linux, and where the user has set GLIBC_TUNABLES.
    """
    if sys.platform != "linux" or TUNABLES in os.environ:
        return
    os.environ[TUNABLES] = HUGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
