import os
import subprocess
import sys

import jax
import pytest

import refusion_jax
from refusion_jax import cli
from refusion_jax.cli import main
from refusion_jax.commands import convert, doctor, fuse, info


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["melt"],
        ["fuse"],
        ["fuse", "a", "b"],
        ["fuse", "--strange"],
        ["fuse", "a", "b", "-o", "c", "--weights", "w", "--range=wide"],
        ["convert", "a"],
        ["info"],
        ["doctor", "now"],
    ],
)
def test_arguments_that_do_not_parse_exit_with_2_and_the_usage(capsys, arguments):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: refusion")


@pytest.mark.parametrize(
    ("arguments", "examples"),
    [
        (["--help"], cli.EXAMPLES),
        (["fuse", "--help"], fuse.EXAMPLES),
        (["convert", "--help"], convert.EXAMPLES),
        (["info", "--help"], info.EXAMPLES),
        (["doctor", "--help"], doctor.EXAMPLES),
    ],
)
def test_help_shows_examples_and_exits_with_0(capsys, arguments, examples):
    assert main(arguments) == 0
    assert examples in capsys.readouterr().out


def test_help_loads_neither_jax_nor_pillow():
    program = (
        "import sys; from refusion_jax.cli import main; main(['fuse', '--help']); "
        "sys.exit(bool({'jax', 'numpy', 'PIL', 'tqdm', 'av'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True).returncode
        == 0
    )


def test_ctrl_c_ends_with_130_and_a_sentence(capsys, monkeypatch):
    def press(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", press)
    assert main(["doctor"]) == 130
    assert capsys.readouterr() == ("", "refusion: interrupted\n")


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"refusion {refusion_jax.__version__}\n"


def test_names_of_the_package_are_listed_and_load_nothing():
    program = (
        "import sys, refusion_jax; assert {'fuse', 'Fuser', 'metrics', 'score'} <= "
        "set(dir(refusion_jax)); assert not {'jax', 'numpy'} & set(sys.modules); "
        "assert refusion_jax.metrics.METRICS and refusion_jax.trainer_of_none"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert ran.stderr.splitlines()[-1] == (
        "AttributeError: module 'refusion_jax' has no attribute 'trainer_of_none'"
    )


def test_the_compiler_is_quiet_before_anything_can_import_jax(monkeypatch):
    heard = []

    def parser():
        heard.append(os.environ.get("TF_CPP_MIN_LOG_LEVEL"))
        raise SystemExit(0)

    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setattr(cli, "_parser", parser)
    assert cli.main([]) == 0
    assert heard == ["3"]


# Said in one process, since JAX cannot start in it: each command tries again.
COMMANDS = """
import sys
from pathlib import Path
from PIL import Image
from refusion_jax import Fuser
from refusion_jax.cli import main

for folder in ("a", "b"):
    Path(folder).mkdir()
    Image.linear_gradient("L").save(f"{folder}/1.png")
for words in (
    "fuse a b -o fused --task=ivif",
    "serve --port=0 --task=ivif",
    "train a b -o run",
    "doctor",
):
    words = words.split()
    print(words[0], main([*words, "--no-cache"]), flush=True)
try:
    Fuser("ivif")
except RuntimeError as error:
    print("Fuser:", error, file=sys.stderr)
"""


@pytest.mark.parametrize("platform", ["abacus", "cuda"])
def test_a_device_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, platform):
    """JAX has an assertion without words where CUDA is demanded of such a machine."""
    if jax.default_backend() == "gpu" and platform == "cuda":
        pytest.skip("this machine has a CUDA device")
    monkeypatch.setenv("JAX_PLATFORMS", platform)
    ran = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=tmp_path, capture_output=True, text=True
    )
    sentence = f"expected JAX to start on {platform!r}, which JAX_PLATFORMS names, got"
    told = [x for x in ran.stderr.splitlines() if sentence in x]
    assert "Traceback" not in ran.stderr and len(told) == 4, ran.stderr
    assert f"fusion: failed ({sentence}" in ran.stdout
    assert all(x in ran.stdout for x in ("fuse 2\n", "serve 2\n", "train 2\n"))
    assert ran.stdout.endswith("doctor 1\n")
