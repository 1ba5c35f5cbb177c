import json

import pytest

from refusion_jax.cli import main
from refusion_jax.runs import study as studying


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, 1)])
def test_a_study_with_a_failed_run_ends_with_1(
    tmp_path, monkeypatch, capsys, fails, code
):
    def study(variants, workdir, **_):
        workdir.mkdir()
        runs = [
            {"seed": 0},
            {"seed": 1} | ({"failed": "L_f is not finite."} if fails else {}),
        ]
        record = {"variants": {"seed=0": runs[:1], "seed=1": runs[1:]}}
        (workdir / studying.RECORD).write_text(json.dumps(record))
        return "the tables\n"

    monkeypatch.setattr(studying, "study_of_folders", study)
    out = str(tmp_path / "study")
    assert main(["ablate", "a", "b", "-o", out, "--test=x=a,b"]) == code
    assert capsys.readouterr().out == "the tables\n"
