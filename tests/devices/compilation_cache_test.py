import os
import subprocess
import sys
from pathlib import Path

import pytest

from refusion_jax.devices.compilation_cache import default_cache_folder


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"REFUSION_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, Path("/c")),
        ({"REFUSION_CACHE": "~/c"}, Path.home() / "c"),
        ({"REFUSION_CACHE": "", "XDG_CACHE_HOME": "/x"}, None),
        ({"XDG_CACHE_HOME": "/x"}, Path("/x/refusion-jax")),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache/refusion-jax"),
        ({}, Path.home() / ".cache/refusion-jax"),
    ],
)
def test_the_environment_says_where_the_cache_is(environment, folder):
    assert default_cache_folder(environment) == folder


# What JAX has been told, by whom; and whether a program reaches the folder although
# something was compiled before.
PROGRAM = """
import argparse, sys
import jax, jax.numpy as jnp
before = dict(jax.config.values)
import refusion_jax, refusion_jax.fusing.fuser, refusion_jax.cli
assert before == dict(jax.config.values), "an import has changed JAX's settings"
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jnp.sin(jnp.arange(3.0)).block_until_ready()
from refusion_jax.commands.set_up import set_up_jax
set_up_jax(argparse.Namespace(cache=sys.argv[1] == "on"))
jnp.cos(jnp.arange(5.0)).block_until_ready()
print(jax.config.values["jax_compilation_cache_dir"])
"""


def settings(tmp_path, switch="on", **variables):
    names = ("JAX_COMPILATION_CACHE_DIR", "REFUSION_CACHE")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "xdg"), **variables}
    command = [sys.executable, "-c", PROGRAM, switch]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )


def test_the_command_turns_the_cache_on_and_an_import_does_not(tmp_path):
    done = settings(tmp_path)
    folder = tmp_path / "xdg" / "refusion-jax"
    assert done.stdout == f"{folder}\n"
    assert list(folder.iterdir())
    assert folder.stat().st_mode & 0o077 == 0


def test_no_cache_writes_nothing(tmp_path):
    settings(tmp_path, "off")
    assert not (tmp_path / "xdg").exists()


def test_jaxs_own_setting_is_respected_unless_ours_is_set(tmp_path):
    jaxs, ours = str(tmp_path / "jax"), str(tmp_path / "ours")
    done = settings(tmp_path, JAX_COMPILATION_CACHE_DIR=jaxs)
    assert done.stdout == f"{jaxs}\n"
    done = settings(tmp_path, JAX_COMPILATION_CACHE_DIR=jaxs, REFUSION_CACHE=ours)
    assert done.stdout == f"{ours}\n"
    assert list((tmp_path / "ours").iterdir())


def test_a_folder_that_cannot_be_is_said_and_done_without(tmp_path):
    (tmp_path / "ours").write_text("a file in the way")
    done = settings(tmp_path, REFUSION_CACHE=str(tmp_path / "ours"))
    assert done.stdout == "None\n"
    assert done.stderr.startswith(f"refusion: no compilation cache in {tmp_path}/ours")
