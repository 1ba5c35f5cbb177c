"""The ablating binary's errors; its parts are tested where they live."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (
            "exact",
            "expected field=value,... or a list of variants among table5, got 'exact'",
        ),
        ("swap=true,exact", "expected field=value,..., got 'exact' in 'swap=true,exa"),
        ("epochs=many", "expected epochs of type int, got 'many' in 'epochs=many'."),
        ("swap=2", "expected swap of type bool, got '2' in 'swap=2'."),
        ("speed=1", "expected a setting among dataset, data_dir,"),
        (
            "preset=best",
            "expected a preset among default, paper, fine_tune, authors, "
            "authors_script, got 'best'",
        ),
        ("batch_size=0", "expected batch_size to be at least 1, got 0; change it."),
    ],
)
def test_a_bad_variant_is_one_sentence_before_anything_is_made(
    tmp_path, variant, message
):
    command = [sys.executable, "experiments/ablate.py", f"--workdir={tmp_path / 'run'}"]
    result = subprocess.run(
        [*command, f"--variant={variant}"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"ablate: {message}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
