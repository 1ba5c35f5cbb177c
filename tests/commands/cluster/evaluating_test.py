"""`refusion evaluate --engine=ray`: the tables of the local command."""

import numpy as np
import pytest
from PIL import Image

from refusion_jax.cli import main
from refusion_jax.commands.cluster import evaluating
from refusion_jax.commands.cluster.engine import EngineError, _reason
from refusion_jax.commands.cluster.evaluating import ScoringWorker


@pytest.fixture
def folders(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("a", "b", "fused"):
        (tmp_path / name).mkdir()
        for number in range(4):
            levels = generator.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(levels).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.fixture
def in_process(monkeypatch):
    """Ray's part is played here: items backwards, one at a time."""

    def spread(items, make, arguments, workers):
        worker = make(*arguments)
        for item in reversed(items):
            yield from worker([item])

    class Running:
        def __init__(self, cluster):
            assert cluster == ("auto", 3)

        def __enter__(self):
            return None

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(evaluating, "spread", spread)
    monkeypatch.setattr(evaluating, "running", Running)


def evaluate(folders, out, *more):
    places = [str(folders / name) for name in ("a", "b", "fused")]
    return main(
        [
            *("evaluate", *places, "--columns=en,sd", "--baselines=average"),
            *("-o", str(folders / out), *more),
        ]
    )


def test_tables_are_those_of_the_local_command(folders, in_process):
    engine = ("--engine=ray", "--address=auto", "--workers=3")
    assert evaluate(folders, "here") == evaluate(folders, "there", *engine) == 0
    for name in ("metrics.json", "methods.json", "table.md", "differences.md"):
        here, there = ((folders / x / name).read_text() for x in ("here", "there"))
        assert here == there


def test_a_pair_that_cannot_be_scored_is_told(folders, in_process, monkeypatch, capsys):
    def fail(self, items):
        return ['[0, null, "0: out of memory"]']

    monkeypatch.setattr(ScoringWorker, "__call__", fail)
    engine = ("--engine=ray", "--address=auto", "--workers=3")
    assert evaluate(folders, "there", *engine) == 1
    assert "0: out of memory" in capsys.readouterr().err


def test_options_of_ray_need_the_engine(folders, capsys):
    assert evaluate(folders, "there", "--address=auto") == 2
    assert "expected --engine=ray with --address, got local" in capsys.readouterr().err


def test_the_cause_of_an_error_of_ray_is_its_last_line():
    text = "\x1b[36mray::Worker()\x1b[39m (pid=1)\n  File x\nOSError: disk full.\n"
    assert _reason(EngineError(text)) == "OSError: disk full"
    assert _reason(EngineError()) == "EngineError"
