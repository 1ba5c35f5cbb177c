import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from refusion_jax.devices.cores import largest_divisor, split_cpu, training_options


@pytest.mark.parametrize(
    ("batch_size", "limit", "parts"),
    [(4, 2, 2), (4, 3, 2), (4, 16, 4), (1, 8, 1), (6, 5, 3), (7, 4, 1)],
)
def test_parts_are_equal_and_as_many_as_allowed(batch_size, limit, parts):
    assert largest_divisor(batch_size, limit) == parts


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


def test_training_takes_memory_for_one_pass_at_a_time():
    def one_pass(start):
        def body(x, _):
            x = jnp.sin(x)
            return x, x

        _, kept = jax.lax.scan(body, jnp.full(2**14, start), length=16)
        return jax.lax.scan(lambda total, x: (total + x.sum(), None), start, kept)[0]

    def passes(start):
        for _ in range(8):
            start = one_pass(start)
        return start

    compiled = jax.jit(passes, compiler_options=training_options()).lower(1.0).compile()
    of_one_pass = 16 * 2**14 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < 3 * of_one_pass


def test_all_cores_are_used_where_the_system_tells_no_affinity():
    """As on macOS and Windows."""
    program = (
        "import os\ndel os.sched_getaffinity\nos.cpu_count = lambda: 3\n"
        "import jax\nfrom refusion_jax.devices.cores import split_cpu\n"
        "split_cpu()\nprint(jax.device_count())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
