import json

import numpy as np
import pytest
from PIL import Image

from refusion_jax import metrics, score
from refusion_jax.cli import main
from refusion_jax.pictures.codecs import to_luminance

RNG = np.random.default_rng(0)
A, FUSED = RNG.integers(0, 256, (2, 12, 16), np.uint8)
B = RNG.integers(0, 256, (12, 16, 3), np.uint8)
KEYS = "ce,sd,mse,ms_ssim"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("a.png", "b.png", "f.png")
    for name, picture in zip(names, (A, B, FUSED), strict=True):
        Image.fromarray(picture).save(name)
    return names


def test_three_files_score_as_their_luminances(files, capsys):
    assert main(["metrics", *files, "--columns", KEYS, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    expected = metrics.compute(A, to_luminance(B), FUSED, KEYS.split(","))
    assert scores.pop("ms_ssim") is None  # too small for it
    assert scores == {key: expected[key] for key in ("ce", "sd", "mse")}
    assert main(["metrics", *files, "--columns", KEYS]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == KEYS.split(",")
    assert [line[-1] for line in lines] == ["lower", "higher", "lower", "higher"]
    assert lines[3][1] == "undefined"


def test_library_scores_whatever_holds_a_picture(files):
    expected = score(*files, ["mse"])
    assert score(A, Image.fromarray(B), FUSED / 255, ["mse"]) == expected
    deep = A.astype(np.uint16) * 257
    assert score(deep, "b.png", FUSED, ["mse"]) == expected
    with pytest.raises(ValueError, match=r"got str_ of shape \(\); refusion_jax.score"):
        metrics.compute("a.png", B, FUSED)


def test_list_names_every_metric_with_its_direction(capsys):
    assert main(["metrics", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split()[1] for line in lines}
    assert shown == {
        key: "higher" if metric.higher_is_better else "lower"
        for key, metric in metrics.ALL_METRICS.items()
    }
    assert main(["metrics", "--list", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts) == list(metrics.ALL_METRICS)
    assert facts["qcv"]["direction"] == "lower" and facts["qcv"]["unit"] == "level^2"
    assert facts["psnr_truth"]["needs_truth"] and not facts["te"]["needs_truth"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "b.png"], "got 2 pictures; name three, or ask for --list"),
        (["a.png", "b.png", "f.png", "--columns=ssim"], "did you mean ssim_refusion"),
        (["a.png", "b.png", "none.png"], "got no file at none.png"),
        (["a.png", "--list"], "expected no pictures with --list, got 1"),
    ],
)
def test_wrong_usage_is_one_sentence(files, capsys, arguments, message):
    assert main(["metrics", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
