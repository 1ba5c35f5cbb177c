"""`evaluate` reads its sources as `fuse` does: the same scores as of plain twins."""

import json

import numpy as np
import pytest
from PIL import Image

from refusion_jax.cli import main
from refusion_jax.evaluation.scoring import evaluate
from refusion_jax.pictures.notes import PictureWarning

RNG = np.random.default_rng(2)
LEVELS = RNG.integers(28000, 33001, (24, 32)).astype(np.uint16)
SMALL = LEVELS[::2, ::2]
B = RNG.integers(0, 256, (24, 32), np.uint8)
KEYS = ["mi", "cc"]


def folders(tmp_path, first, names=("1", "1", "1")):
    for folder, picture, name in zip(
        ("a", "b", "f"), (first, B, B), names, strict=True
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / folder / f"{name}.png")
    return [tmp_path / folder for folder in ("a", "b", "f")]


def test_levels_are_those_of_the_8_bit_twin(tmp_path):
    deep = evaluate(*folders(tmp_path, LEVELS), keys=KEYS, levels="28000:33000")
    twin = np.rint((LEVELS - 28000) / 5000 * 255).astype(np.uint8)
    plain = evaluate(*folders(tmp_path, twin), keys=KEYS)
    np.testing.assert_array_equal(deep.values, plain.values)


def test_sources_of_two_sizes_are_aligned(tmp_path):
    grey = (SMALL // 257).astype(np.uint8)
    scores = evaluate(*folders(tmp_path, grey), keys=KEYS, align="resize-largest")
    image = Image.fromarray(grey).resize((32, 24), Image.Resampling.BICUBIC)
    twin = evaluate(*folders(tmp_path, np.asarray(image)), keys=KEYS)
    np.testing.assert_array_equal(scores.values, twin.values)
    sources = folders(tmp_path, grey)
    with (
        pytest.raises(ValueError, match=r"32x24 pixels in fused .*, 16x12"),
        pytest.warns(PictureWarning, match="1/4 of its pixels"),
    ):
        evaluate(*sources, keys=KEYS, align="resize")


def test_registered_sources_are_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match="expected align to be one of none, crop, resize, resize-largest, got "
        "'register'; register the sources first, and score with these",
    ):
        evaluate(*folders(tmp_path, B), keys=KEYS, align="register")


def test_names_that_differ_are_paired(tmp_path):
    grey = (LEVELS // 257).astype(np.uint8)
    names = ("ir_01", "vi_01", "01")
    with pytest.warns(PictureWarning, match="differ by ir_ and vi_"):
        scores = evaluate(*folders(tmp_path, grey, names), keys=KEYS)
    assert scores.stems == ("ir_01",)


def test_the_command_has_the_options(tmp_path, capsys):
    sources = list(map(str, folders(tmp_path, LEVELS)))
    command = ["evaluate", *sources, "-o", str(tmp_path / "s"), "--columns=mi"]
    assert main([*command, "--levels=28000:33000"]) == 0
    content = json.loads((tmp_path / "s" / "metrics.json").read_text())
    expected = evaluate(*sources, keys=["mi"], levels="28000:33000").mean("mi")
    assert content["mean"]["mi"] == pytest.approx(expected)
    with pytest.warns(PictureWarning, match="uses the levels 28009 to 32998"):
        plain = evaluate(*sources, keys=["mi"]).mean("mi")
    assert plain != pytest.approx(expected)
    assert main([*command, "--levels=wide"]) == 2
    assert "expected a range rule" in capsys.readouterr().err
