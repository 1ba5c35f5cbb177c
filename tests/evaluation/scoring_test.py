import csv
import json
import math
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from refusion_jax import metrics
from refusion_jax.cli import main
from refusion_jax.data.pairs import Pair
from refusion_jax.evaluation.candidates import (
    BASELINES,
    FromFolder,
    FromWeights,
    baselines,
)
from refusion_jax.evaluation.scores import Scores, write_scores
from refusion_jax.evaluation.scoring import (
    InputError,
    check_keys,
    check_pictures,
    columns,
    evaluate,
    score,
)
from refusion_jax.fusing import inference
from refusion_jax.methods.refusion import forward
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.pictures.codecs import read_picture
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.weights.store import save_weights

KEYS = ("en", "sd")
RNG = np.random.default_rng(0)
STEMS = ("1", "2", "x.y")


def save(path, picture):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The current folder: sources a (grey) and b (colour), and fused pictures."""
    monkeypatch.chdir(tmp_path)
    for stem in STEMS:
        save(tmp_path / "a" / f"{stem}.png", RNG.integers(0, 256, (6, 8), np.uint8))
        save(tmp_path / "b" / f"{stem}.bmp", RNG.integers(0, 256, (6, 8, 3), np.uint8))
        save(tmp_path / "f" / f"{stem}.tif", RNG.integers(0, 256, (6, 8), np.uint8))
    return tmp_path


@pytest.fixture
def weights(folders, monkeypatch):
    """A weight file, for a network that compiles at once and needs those weights."""
    monkeypatch.setattr(
        forward,
        "fuse_luminance",
        lambda params, a, b, **_: a + params["tail2"][0, 0, 0, 0] * b,
    )
    params = jax.tree.map(
        lambda leaf: RNG.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
        jax.eval_shape(networks.init_params, jax.random.key(0)).fusion,
    )
    save_weights(folders / "w.safetensors", {"fusion": params})
    return folders / "w.safetensors"


def luminance(picture):
    y = np.asarray(picture, np.float64)
    return y if y.ndim == 2 else np.floor(y @ [0.299, 0.587, 0.114] + 0.5 + 1e-9)


def test_values_are_those_of_the_8_bit_luminance(folders):
    save(folders / "f" / "2.tif", RNG.integers(0, 256, (6, 8, 3), np.uint8))
    scores = evaluate("a", "b", "f", keys=("sd", "mse"))
    assert scores.stems == STEMS and scores.keys == ("sd", "mse")
    for stem, (sd, mse) in zip(STEMS, scores.values, strict=True):
        a, b, f = (
            luminance(read_picture(path))
            for path in (f"a/{stem}.png", f"b/{stem}.bmp", f"f/{stem}.tif")
        )
        np.testing.assert_allclose(sd, f.std(), rtol=1e-6)
        errors = [np.mean((f - source) ** 2) for source in (a, b)]
        np.testing.assert_allclose(mse, np.mean(errors), rtol=1e-6)


def test_each_source_keeps_its_side(folders):
    """A method that copies a: the differences to b are all there is."""
    scores = evaluate("a", "b", "a", keys=("mse",))
    swapped = evaluate("b", "a", "b", keys=("mse",))
    assert (scores.values > 0).all()
    np.testing.assert_array_equal(scores.values, swapped.values)


def test_means_leave_out_what_is_undefined():
    scores = Scores(("p", "q", "r"), KEYS, np.array([[1, 2], [math.nan, 4], [3, 9.0]]))
    assert (scores.mean("en"), scores.defined("en")) == (2, 2)
    assert (scores.mean("sd"), scores.defined("sd")) == (5, 3)
    empty = scores._replace(values=np.full((3, 2), np.inf))
    assert math.isnan(empty.mean("en")) and empty.defined("en") == 0


def test_json_holds_what_the_contract_says(tmp_path):
    scores = Scores(("p", "q"), KEYS, np.array([[1, 2], [math.nan, 4.0]]))
    write_scores(tmp_path / "new", {"m": scores})
    content = json.loads((tmp_path / "new" / "metrics.json").read_text())
    assert content == {
        "images": {"p": {"en": 1, "sd": 2}, "q": {"en": None, "sd": 4}},
        "mean": {"en": 1, "sd": 3},
    }
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"metrics.json", "metrics.csv"}


def test_csv_has_a_line_a_method_and_picture(tmp_path):
    first = Scores(('p,"1"', "q"), KEYS, np.array([[1, 2], [math.nan, 4.0]]))
    methods = {"m": first, "n": first._replace(values=first.values + 1)}
    write_scores(tmp_path, methods)
    with open(tmp_path / "metrics.csv", newline="") as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["method", "image", "en", "sd"],
        ["m", 'p,"1"', "1.0", "2.0"],
        ["m", "q", "", "4.0"],
        ["n", 'p,"1"', "2.0", "3.0"],
        ["n", "q", "", "5.0"],
    ]
    both = json.loads((tmp_path / "methods.json").read_text())
    assert list(both) == ["m", "n"]
    assert both["m"] == json.loads((tmp_path / "metrics.json").read_text())


def test_the_scored_picture_is_the_one_that_refusion_fuse_writes(folders, weights):
    assert main(["fuse", "a", "b", "-o", "ours", "--weights", str(weights)]) == 0
    method, written = FromWeights(weights), FromFolder("ours")
    for stem in STEMS:
        pair = Pair(stem, folders / "a" / f"{stem}.png", folders / "b" / f"{stem}.bmp")
        assert written(pair).ndim == 3
        np.testing.assert_array_equal(method(pair), written(pair))
    np.testing.assert_array_equal(
        evaluate("a", "b", weights=weights, keys=KEYS).values,
        evaluate("a", "b", "ours", keys=KEYS).values,
    )


def test_the_authors_picture_is_grey_and_rounds_halves_down(
    folders, monkeypatch, hand_model
):
    # A hair above the halves: double precision cannot hold them on the way.
    half = 0.5 + 2e-10
    levels = np.array([[0, half, 1 + half, 2.49], [2.51, 253 + half, 254 + half, 255]])
    monkeypatch.setattr(
        inference,
        "fuse_pictures",
        lambda model, a, b, **_: levels / 255 + 0 * a[:2, :4],
    )
    method = FromWeights(hand_model(), rounding="authors")
    fused = method(Pair("1", folders / "a" / "1.png", folders / "b" / "1.bmp"))
    assert fused.dtype == np.uint8
    np.testing.assert_array_equal(fused, [[0, 0, 1, 2], [3, 253, 254, 255]])


def test_the_authors_pictures_are_reproduced(shared):
    folder = shared("official", "ivif")
    method = FromWeights(folder / "ReFusion_IVIF.pth", rounding="authors")
    pair = Pair("00710N", *(folder / x / "00710N.png" for x in ("infrared", "visible")))
    golden = read_picture(shared("golden", "fused", "IVIF", "00710N.png"))
    off = np.abs(method(pair).astype(int) - golden)
    # Float32 on two machines: a few of 307,200 pixels round the other way.
    assert off.max() <= 1 and off.sum() < 100


def test_baselines_are_what_they_say(folders):
    pair = Pair("1", folders / "a" / "1.png", folders / "b" / "1.bmp")
    a, b = luminance(read_picture(pair.path_a)), luminance(read_picture(pair.path_b))
    np.testing.assert_array_equal(BASELINES["average"](pair), (a + b + 1) // 2)
    np.testing.assert_array_equal(BASELINES["maximum"](pair), np.maximum(a, b))


def test_sources_alone_and_their_names_are_baselines(folders):
    pair = Pair("1", folders / "a" / "1.png", folders / "b" / "1.bmp")
    chosen = baselines(["source_b", "source_a"])
    assert list(chosen) == ["source_b", "source_a"]
    for name, path in (("source_a", pair.path_a), ("source_b", pair.path_b)):
        np.testing.assert_array_equal(chosen[name](pair), luminance(read_picture(path)))
    with pytest.raises(
        ValueError, match=r"baselines among average, .*, guided, got 'median'; choose"
    ):
        baselines(["median"])


def test_classical_baselines_are_refused_at_once_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert list(baselines(["average"])) == ["average"]
    with pytest.raises(ImportError, match=r"pip install 'refusion-jax\[classical\]'"):
        baselines(["average", "guided"])


def test_scores_against_the_truth_are_those_of_its_luminance(folders):
    for stem in STEMS:
        truth = RNG.integers(0, 256, (6, 8, 3), np.uint8)
        save(folders / "truth" / f"{stem}.png", truth)
    scores = evaluate("a", "b", "f", keys=("sd",), ground_truth="truth")
    assert scores.keys == ("sd", "psnr_truth", "ssim_truth")
    for stem, psnr in zip(STEMS, scores.column("psnr_truth"), strict=True):
        truth, fused = (
            luminance(read_picture(path))
            for path in (f"truth/{stem}.png", f"f/{stem}.tif")
        )
        expected = 20 * math.log10(255) - 10 * math.log10(((truth - fused) ** 2).mean())
        assert psnr == pytest.approx(expected, rel=1e-9)
    # Smaller than the window of SSIM.
    assert scores.defined("ssim_truth") == 0
    np.testing.assert_array_equal(
        scores.only(("sd",)).values, evaluate("a", "b", "f", keys=("sd",)).values
    )


def test_true_pictures_may_have_a_name_of_their_own(folders):
    """As `ir_001` and `gt_001` do: scored as those of equal names."""
    for stem in STEMS:
        truth = RNG.integers(0, 256, (6, 8), np.uint8)
        save(folders / "truth" / f"{stem}.png", truth)
        save(folders / "other" / f"{stem.upper()}.png", truth)
    same = evaluate("a", "b", "f", keys=("sd",), ground_truth="truth")
    with pytest.warns(PictureWarning, match="differ in case or in leading zeros"):
        other = evaluate("a", "b", "f", keys=("sd",), ground_truth="other")
    np.testing.assert_array_equal(same.values, other.values)


def test_a_missing_true_picture_is_a_problem_like_others(folders):
    for stem in STEMS[:2]:
        save(folders / "truth" / f"{stem}.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(InputError) as caught:
        evaluate("a", "b", "f", keys=KEYS, ground_truth="truth")
    assert caught.value.problems == ("x.y: no picture in ground truth (truth).",)


def test_the_range_is_that_of_refusion_fuse(folders, weights):
    plain = ["fuse", "a", "b", "-o", "ours", "--range=none", "--weights", str(weights)]
    assert main(plain) == 0
    method, written = FromWeights(weights, output_range="none"), FromFolder("ours")
    pair = Pair("1", folders / "a" / "1.png", folders / "b" / "1.bmp")
    np.testing.assert_array_equal(method(pair), written(pair))
    assert (method(pair) != FromWeights(weights)(pair)).any()
    assert method.origin.endswith("as `refusion fuse` writes it, with --range=none")
    with pytest.raises(ValueError, match="stretch, none, source, got 'full'"):
        FromWeights(weights, output_range="full")


def test_every_problem_is_named_before_anything_is_computed(folders, monkeypatch):
    (folders / "b" / "1.bmp").unlink()
    save(folders / "f" / "2.tif", np.zeros((8, 6), np.uint8))
    (folders / "f" / "x.y.tif").write_bytes(b"broken")
    save(folders / "f" / "extra.png", np.zeros((6, 8), np.uint8))
    monkeypatch.setattr(metrics, "compute", None)
    with pytest.raises(InputError) as caught:
        evaluate("a", "b", "f", keys=KEYS)
    assert caught.value.problems[:2] == (
        "1: no picture in source b (b).",
        "2: 6x8 pixels in fused (f), 8x6 in source a (a).",
    )
    rest = caught.value.problems[2:]
    assert rest[0] == "extra: no picture in source a (a)."
    assert rest[1] == "extra: no picture in source b (b)."
    assert rest[2].startswith("x.y: expected a readable picture, got f/x.y.tif")
    assert len(rest) == 3
    assert str(caught.value).startswith(
        "expected complete sets of pictures, got 5 problems; correct the folders:\n"
        "  1: no picture"
    )


def test_every_method_is_checked_by_its_name(folders):
    save(folders / "g" / "1.png", np.zeros((6, 8), np.uint8))
    methods = {"good": FromFolder("f"), "other": FromFolder("g"), **BASELINES}
    with pytest.raises(InputError) as caught:
        check_pictures("a", "b", methods)
    assert caught.value.problems == (
        "2: no picture in other (g).",
        "x.y: no picture in other (g).",
    )


def test_complete_folders_give_the_pairs_in_order(folders):
    pairs = check_pictures("a", "b", {"f": FromFolder("f")})
    assert [pair.stem for pair in pairs] == list(STEMS)
    assert score(pairs, BASELINES["maximum"], ("sd",)).values.shape == (3, 1)


@pytest.mark.parametrize("empty", ["a", "b", "f"])
def test_an_empty_or_missing_folder_is_named(folders, empty):
    for path in (folders / empty).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"in {empty}, got none"):
        evaluate("a", "b", "f", keys=KEYS)
    (folders / empty).rmdir()
    with pytest.raises(FileNotFoundError, match=f"got none at {empty}"):
        evaluate("a", "b", "f", keys=KEYS)


def test_a_method_is_a_folder_or_weights(folders, weights):
    with pytest.raises(ValueError, match="got neither"):
        evaluate("a", "b", keys=KEYS)
    with pytest.raises(ValueError, match="got both"):
        evaluate("a", "b", "f", weights=weights, keys=KEYS)
    with pytest.raises(ValueError, match="one of refusion, authors, got 'ceil'"):
        FromWeights(weights, rounding="ceil")


def test_unknown_metrics_and_tasks_are_told_with_the_choices():
    with pytest.raises(ValueError, match=r"among en, sd, .* got 'ssim'; did you mean"):
        check_keys(["en", "ssim"])
    with pytest.raises(ValueError, match="got none"):
        check_keys([])
    with pytest.raises(ValueError, match=r"task among ivif, .* got 'IR'; choose"):
        columns("paper", "IR")


def test_columns_follow_the_paper():
    assert columns("paper", "ivif") == metrics.PAPER_COLUMNS["ivif"]
    assert columns("all", "ivif") == columns("all", None) == tuple(metrics.METRICS)
    assert columns("sd,en,sd", None) == ("sd", "en")
    everything = columns("paper", None)
    assert len(set(everything)) == len(everything)
    assert set(everything) == set().union(*metrics.PAPER_COLUMNS.values())


def test_the_package_offers_evaluate_at_its_front_door():
    import refusion_jax

    assert refusion_jax.evaluate is evaluate
