import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

# Faults of pages while 64 MiB are filled and freed again and again.
PROGRAM = """
import ctypes, resource, sys
if sys.argv[1] == "keep":
    from refusion_jax.allocator import keep_freed_memory
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def fill():
    block = libc.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
fill()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""


def page_faults(choice, environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, choice],
        capture_output=True,
        text=True,
        check=True,
        env={**clean, **environment},
    )
    return int(done.stdout)


def returns_memory():
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return platform.libc_ver()[0] == "glibc" and "[always]" not in (
        huge.read_text() if huge.exists() else ""
    )


@pytest.mark.skipif(not returns_memory(), reason="page faults tell nothing here")
@pytest.mark.parametrize(
    ("choice", "environment", "is_kept"),
    [
        ("leave", {}, False),
        ("keep", {}, True),
        ("keep", {"MALLOC_MMAP_THRESHOLD_": "65536"}, False),
    ],
)
def test_freed_memory_is_kept_unless_somebody_tuned_it(choice, environment, is_kept):
    pages = 4 * (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    faults = page_faults(choice, environment)
    assert faults < pages / 100 if is_kept else faults > pages / 2
