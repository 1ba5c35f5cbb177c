"""Programs that train ask for huge pages, once, and change nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from refusion_jax.devices.huge_pages import TUNABLES

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="huge pages are asked for on Linux only"
)
PROGRAM = """
import os, sys
from refusion_jax.devices.huge_pages import TUNABLES, restart_with_huge_pages
print("started", os.getpid(), flush=True)
restart_with_huge_pages()
print(os.environ[TUNABLES], sys.argv[1:], sys.flags.optimize)
"""
ALLOCATING = """
import numpy as np
from refusion_jax.devices.huge_pages import restart_with_huge_pages
restart_with_huge_pages()
array = np.ones(1 << 25, np.float32)
print(open("/proc/self/smaps_rollup").read())
"""


def run(path: Path, program: str, **environment: str) -> list[str]:
    """Output lines of a program in a process of its own."""
    path.write_text(program)
    inherited = {k: v for k, v in os.environ.items() if k != TUNABLES}
    command = [sys.executable, "-O", str(path), "an argument", "--flag=*"]
    done = subprocess.run(
        command,
        env={**inherited, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_program_starts_anew_once_with_its_arguments(tmp_path: Path) -> None:
    first, second, last = run(tmp_path / "program.py", PROGRAM)
    assert first == second  # the same process
    assert last == "glibc.malloc.hugetlb=1 ['an argument', '--flag=*'] 1"


def test_users_own_tunables_stand(tmp_path: Path) -> None:
    tunables = {TUNABLES: "glibc.malloc.check=0"}
    started, last = run(tmp_path / "program.py", PROGRAM, **tunables)
    assert started.startswith("started")
    assert last.startswith("glibc.malloc.check=0")


def test_large_arrays_lie_in_huge_pages(tmp_path: Path) -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    version = re.match(r"glibc (\d+)\.(\d+)", libc)
    if not version or tuple(map(int, version.groups())) < (2, 35):
        pytest.skip(f"glibc 2.35 brought this setting, this is {libc!r}")
    if not setting.exists() or "[never]" in setting.read_text():
        pytest.skip("this kernel gives no huge pages")
    # NumPy would ask for huge pages itself.
    plain = {"NUMPY_MADVISE_HUGEPAGE": "0"}
    other = {**plain, TUNABLES: "glibc.malloc.check=0"}  # users' own stand
    kilobytes, without = (
        next(int(x.split()[1]) for x in lines if x.startswith("AnonHugePages"))
        for lines in (
            run(tmp_path / "program.py", ALLOCATING, **chosen)
            for chosen in (plain, other)
        )
    )
    # All of the 128 MiB, or less where other programs leave no large places.
    assert kilobytes > 16 << 10
    if "[madvise]" in setting.read_text():
        assert without < 16 << 10
