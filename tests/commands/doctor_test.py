import configparser
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax
import pytest

from refusion_jax.cli import main
from refusion_jax.commands.doctor import EXTRAS
from refusion_jax.methods.refusion import forward

SETUP = Path(__file__).parents[2] / "setup.cfg"


def doctor(capsys):
    status = main(["doctor"])
    out = capsys.readouterr().out
    return status, dict(line.split(": ", 1) for line in out.splitlines())


def test_a_sound_installation_fuses_and_says_on_what(capsys):
    status, facts = doctor(capsys)
    assert status == 0
    assert re.fullmatch(r"ok, [0-9.]+ s with compilation", facts["fusion"])
    for package in ("jax", "jaxlib", "pillow", "safetensors"):
        assert facts[package] == metadata.version(package)
    assert facts["devices"].startswith(", ".join(map(str, jax.devices())))
    assert facts["compilation cache"].startswith(
        jax.config.values["jax_compilation_cache_dir"]
    )


@pytest.mark.parametrize("kind", [RuntimeError, ImportError, TypeError])
def test_a_broken_one_says_why_and_exits_with_1(capsys, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("no device\nmore lines")

    monkeypatch.setattr(forward, "fuse_luminance", fail)
    status, facts = doctor(capsys)
    assert status == 1
    assert facts["fusion"] == "failed (no device)"


def test_a_reader_who_has_seen_enough_gets_no_traceback():
    """As in `refusion doctor | head -1`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "refusion_jax", "doctor", "--no-cache"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("python: ")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=120) == 0 and errors == ""


def test_what_is_not_installed_is_said(capsys, monkeypatch):
    def absent(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(forward, "fuse_luminance", lambda params, a, b, **_: a)
    monkeypatch.setattr(metadata, "version", absent)
    status, facts = doctor(capsys)
    assert status == 0
    assert facts["extra data"] == ("not installed: pip install 'refusion-jax[data]'")
    assert facts["accelerator plugin"] == "none; JAX runs on the CPU"


def test_extras_and_their_packages_are_those_that_can_be_installed():
    """But for those of the accelerator, which JAX's plugins tell, and of developers."""
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    packages = {
        extra: tuple(re.findall(r"^[\w-]+", needs.strip(), re.MULTILINE))
        for extra, needs in setup["options.extras_require"].items()
    }
    for extra in ("cuda12", "cuda13", "bench", "docs", "test"):
        del packages[extra]
    assert packages == EXTRAS
