"""The script is run by Bash itself, which reads words as it does at the prompt."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from refusion_jax.cli import main

# Bash splits words at "=" before it calls the function that completes.
LINES = {
    "refusion ev": "evaluate",
    "refusion fuse --task ": "ivif meif mfif mif",
    "refusion fuse --task = mf": "mfif",
    "refusion fuse --range = ": "none source stretch",
    "refusion fuse --range =": "none source stretch",
    "refusion fuse --weights = ivif.safetensors ne": "near.png",
    "refusion fuse ne": "near.png",
    "refusion fuse near.png --no-ov": "--no-overwrite",
    "refusion train -o ne": "near.png",
    "refusion train --preset = fine": "fine_tune",
    "refusion train --meta-g": "--meta-gradient",
    "refusion train --meta-gradient sto": "stopped",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_names_settings_and_files(tmp_path, capsys):
    pytest.importorskip("shtab")
    assert main(["--print-completion", "bash"]) == 0
    (tmp_path / "near.png").touch()
    script = [capsys.readouterr().out]
    for line in LINES:
        words = shlex.join(line.split(" "))
        script += [f"COMP_WORDS=({words}) COMP_CWORD={line.count(' ')} COMPREPLY=()"]
        script += [
            "_refusion",
            'sort <<< "$(printf "%s\\n" "${COMPREPLY[@]}")" | xargs',
        ]
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)], capture_output=True, text=True, cwd=tmp_path
    )
    assert dict(zip(LINES, ran.stdout.splitlines(), strict=True)) == LINES


def test_zsh_is_told_that_values_may_follow_an_equals_sign(capsys):
    pytest.importorskip("shtab")
    assert main(["--print-completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert re.search(r'^ +"--task=\[.*:\(ivif meif mfif mif\)"$', script, re.MULTILINE)
    assert re.search(r'^ +"--resume\[.*\]"$', script, re.MULTILINE)


def test_without_the_package_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "pip install 'refusion-jax[completion]'" in capsys.readouterr().err
