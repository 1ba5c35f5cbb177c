import os
import subprocess
import sys

import jax
import pytest

from refusion_jax.devices import most_that_divide, split_cpu


@pytest.mark.parametrize(
    ("batch_size", "limit", "parts"),
    [(4, 2, 2), (4, 3, 2), (4, 16, 4), (1, 8, 1), (6, 5, 3), (7, 4, 1)],
)
def test_parts_are_equal_and_as_many_as_allowed(batch_size, limit, parts):
    assert most_that_divide(batch_size, limit) == parts


def test_the_cpu_is_not_split_under_a_running_program():
    jax.devices()
    with pytest.raises(RuntimeError, match="jax_num_cpu_devices"):
        split_cpu(1)


@pytest.mark.parametrize(
    ("before", "count"),
    [
        ("", len(os.sched_getaffinity(0))),
        ("jax.config.update('jax_num_cpu_devices', 3)", 3),
        ("os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'", 4),
        ("jax.devices()", 1),
    ],
)
def test_all_cores_are_used_where_nobody_chose_otherwise(before, count):
    program = (
        f"import os, jax\n{before}\nimport refusion_jax\n"
        "refusion_jax.use_all_cores()\nprint(jax.device_count())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout) == (0, f"{count}\n"), done.stderr
