import os
import subprocess
import sys

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
