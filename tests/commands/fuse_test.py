import io
import json
import os
import re
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from PIL import Image

from refusion_jax import Fuser
from refusion_jax.cli import main
from refusion_jax.files.checksums import sha256_of
from refusion_jax.fusing import inference
from refusion_jax.methods.refusion import forward, model
from refusion_jax.pictures.codecs import read_picture
from refusion_jax.pictures.photographs import origin_of
from refusion_jax.weights.store import save_weights

A = np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)
B = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture
def run(workplace):
    """The current folder: two folders of two pairs, and a weight file."""
    for folder, picture in (("a", A), ("b", B)):
        (workplace / folder).mkdir()
        for stem in ("1", "2"):
            Image.fromarray(picture).save(workplace / folder / f"{stem}.png")
    return workplace


def fuse(*arguments, weights="weights.safetensors"):
    return main(["fuse", *map(str, arguments), "--weights", weights])


def test_two_files_give_the_picture_that_the_library_gives(run, params, capsys):
    assert fuse("a/1.png", "b/1.png", "-o", "fused.png") == 0
    expected = inference.fuse(A, B, weights=params)
    np.testing.assert_array_equal(read_picture("fused.png"), expected)
    assert capsys.readouterr() == ("fused.png 8x6\n", "")


def test_the_rules_reach_the_fuser(run, monkeypatch, capsys):
    given = []

    class Noting(Fuser):
        def __init__(self, _, **rules):
            given.append(rules)
            raise ValueError("expected no more, got all; stop.")

    monkeypatch.setattr("refusion_jax.fusing.fuser.Fuser", Noting)
    options = ("--align=register", "--motion=rigid", "--border=fill")
    more = ("--levels=min-max", "--precision=bfloat16", "--range=none")
    assert fuse("a/1.png", "b/1.png", "-o", "fused.png", *options, *more) == 2
    assert given == [
        {
            **{"output_range": "none", "align": "register", "motion": "rigid"},
            **{"border": "fill", "levels": "min-max", "precision": "bfloat16"},
        }
    ]


def test_two_folders_are_paired_and_written_by_stem(run, params, capsys):
    assert fuse("a", "b", "--output", "new/fused", weights=".") == 0
    expected = inference.fuse(A, B, weights=params)
    for stem in ("1", "2"):
        np.testing.assert_array_equal(read_picture(f"new/fused/{stem}.png"), expected)
    assert capsys.readouterr().out == "new/fused/1.png 8x6\nnew/fused/2.png 8x6\n"


def test_subfolders_are_written_as_jpegs_of_the_quality_asked_for(run, params):
    for folder in ("a", "b"):
        (run / folder / "day").mkdir()
        (run / folder / "2.png").rename(run / folder / "day" / "2.png")
    steps = []
    for quality in ("20", "90"):
        options = ("--recursive", "--ext=jpg", f"--quality={quality}")
        assert fuse("a", "b", "-o", "out", *options, "--resume") == 0
        made = sorted(run.glob("out/**/*.*"))
        assert [str(x.relative_to(run)) for x in made] == ["out/1.jpg", "out/day/2.jpg"]
        # The tables that quantise tell the quality: coarse at 20, fine at 90.
        with Image.open(made[1]) as image:
            steps.append(max(image.quantization[0]))
        assert json.loads(origin_of(made[1]))["options"]["quality"] == int(quality)
    assert steps[0] > 200 > 40 > steps[1]


def test_a_folder_as_output_of_two_files_takes_the_first_ones_name(run):
    (run / "out").mkdir()
    assert fuse("a/2.png", "b/1.png", "-o", "out") == 0
    assert (run / "out" / "2.png").exists()


def test_one_bad_pair_is_reported_and_the_rest_is_written(run, capsys):
    (run / "b" / "1.png").write_bytes(b"broken")
    assert fuse("a", "b", "-o", "out") == 1
    out, err = capsys.readouterr()
    assert out == "out/2.png 8x6\n"
    assert [path.name for path in (run / "out").iterdir()] == ["2.png"]
    assert err.splitlines()[0].startswith(
        "refusion: 1: expected a readable picture, got "
    )
    assert err.splitlines()[1].startswith("refusion: 1 of 2 written, 1 failed (1), ")


def test_a_pair_of_two_sizes_fails_alone(run, capsys):
    Image.fromarray(A.T).save(run / "a" / "2.png")
    assert fuse("a", "b", "-o", "out") == 1
    sizes = "2: expected a pair of equal size, got a/2.png of 6x8 and b/2.png of 8x6"
    assert sizes in capsys.readouterr().err
    assert fuse("a/2.png", "b/2.png", "-o", "out") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_exhausted_memory_fails_one_pair_in_one_sentence(run, capsys, monkeypatch):
    def exhaust(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nmore lines")

    monkeypatch.setattr(forward, "fuse_luminance", exhaust)
    assert fuse("a/1.png", "b/1.png", "-o", "out.png") == 1
    assert capsys.readouterr().err == (
        "refusion: 1: RESOURCE_EXHAUSTED: out of memory\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a/1.png", "none.png", "-o", "x.png"), "got nothing at none.png"),
        (("none", "b", "-o", "out"), "got nothing at none"),
        (
            ("a", "b/1.png", "-o", "out"),
            "files only or folders only, got a and b/1.png",
        ),
        (("a/1.png", "b/1.png", "-o", "x.gif"), "got '.gif' in x.gif"),
        (
            ("a/1.png", "b/1.png", "-o", "a/1.png"),
            "other than the sources, got a/1.png",
        ),
        (("a", "b", "-o", "b/../a"), "other than the sources"),
        (("a", "empty", "-o", "out"), "in empty, got none"),
        (("a", "b", "-o", "weights.safetensors"), "exists"),
    ],
    ids=repr,
)
def test_wrong_arguments_exit_with_2_and_a_sentence(run, capsys, arguments, message):
    (run / "empty").mkdir()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.png")}
    assert fuse(*arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("refusion: ") and err.count("\n") == 1
    assert not out
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*.png")}


def test_an_unpaired_picture_is_named_before_anything_is_written(run, capsys):
    (run / "b" / "2.png").unlink()
    assert fuse("a", "b", "-o", "out") == 2
    assert "2.* is missing in b" in capsys.readouterr().err
    assert not (run / "out").exists()


@pytest.mark.parametrize("weights", ["none.pth", "a", "a/1.png"])
def test_weights_that_cannot_be_read_exit_with_2(run, capsys, weights):
    assert fuse("a", "b", "-o", "out", weights=weights) == 2
    err = capsys.readouterr().err
    assert weights in err and err.count("\n") == 1


def test_three_folders_are_fused_as_the_library_fuses_three_pictures(run, params):
    (run / "c").mkdir()
    for stem in ("1", "2"):
        Image.fromarray(B[::-1]).save(run / "c" / f"{stem}.png")
    assert fuse("a", "b", "c", "-o", "out") == 0
    expected = inference.fuse(A, B, B[::-1], weights=params)
    np.testing.assert_array_equal(read_picture("out/2.png"), expected)
    assert fuse("a/1.png", "b/1.png", "c/1.png", "-o", "three.png") == 0
    np.testing.assert_array_equal(read_picture("three.png"), expected)


def test_numbered_frames_come_in_the_order_of_their_numbers(run, capsys):
    for folder in ("a", "b"):
        (run / folder / "1.png").rename(run / folder / "10.png")
    assert fuse("a", "b", "-o", "out", "--jobs=3", "--range=source") == 0
    assert capsys.readouterr().out == "out/2.png 8x6\nout/10.png 8x6\n"


@pytest.mark.parametrize("rule", ["none", "source", "stretch"])
def test_the_range_is_that_of_the_library(run, params, rule):
    assert fuse("a/1.png", "b/1.png", "-o", "x.png", f"--range={rule}") == 0
    expected = inference.fuse(A, B, weights=params, output_range=rule)
    np.testing.assert_array_equal(read_picture("x.png"), expected)


@pytest.mark.parametrize(("align", "size"), [("crop", (6, 6)), ("resize", (8, 6))])
def test_sizes_are_aligned_on_request(run, align, size):
    Image.fromarray(A.T).save(run / "a" / "1.png")
    assert fuse("a/1.png", "b/1.png", "-o", "x.png", f"--align={align}") == 0
    assert read_picture("x.png").shape == (*size, 3)


def test_levels_of_thermal_pictures_are_bounded(run, params):
    levels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 100 + 28000
    Image.fromarray(levels).save(run / "a" / "1.png")
    expected = inference.fuse(levels, A, weights=params, levels="29000:31000")
    Image.fromarray(A).save(run / "b" / "1.png")
    arguments = ("a/1.png", "b/1.png", "-o", "x.tif", "--levels=29000:31000")
    assert fuse(*arguments) == 0
    with Image.open("x.tif") as image:
        np.testing.assert_array_equal(np.asarray(image), expected)
    assert expected.dtype == np.uint16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levels=warm"], "expected a range rule"),
        (["--jobs=0"], "expected --jobs of 1 or more, got 0"),
        (
            ["--maps"],
            "that include the loss proposal module P, got weights.safetensors",
        ),
        (["a", "--maps"], "expected two sources with --maps, got 3"),
        (["--window=40:80"], "expected volumes with --window, got other sources"),
    ],
    ids=repr,
)
def test_options_that_cannot_be_are_refused_first(run, capsys, arguments, message):
    assert fuse("a", "b", *arguments, "-o", "out") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (run / "out").exists()


def test_the_limit_of_pixels_is_a_limit_and_can_be_moved(run, capsys):
    before = Image.MAX_IMAGE_PIXELS
    arguments = ("a/1.png", "b/1.png", "-o", "x.png")
    assert fuse(*arguments, "--max-pixels=47") == 1  # they have 48
    err = capsys.readouterr().err
    assert "expected a picture of moderate size, got a/1.png" in err
    assert "--max-pixels" in err and err.count("\n") == 1
    assert fuse(*arguments, "--max-pixels=48") == 0
    assert Image.MAX_IMAGE_PIXELS == before


def test_maps_are_written_beside_the_picture(run, tree_of, params, monkeypatch):
    """P prefers a where a is brighter: a network that compiles at once."""

    def prefer_brighter(params, a, b):
        w_a = np.float32(a > b)[..., 0]
        return {"w_a": w_a, "w_b": 1 - w_a, "v_a": 1 - w_a, "v_b": w_a}

    monkeypatch.setattr(model, "propose_maps", prefer_brighter)
    trees = {"fusion": params, "proposal": tree_of("proposal")}
    save_weights(run / "weights.safetensors", trees)
    assert fuse("a", "b", "-o", "out", "--maps") == 0
    folder = run / "out" / "2.maps"
    names = {"w_a.png", "w_b.png", "v_a.png", "v_b.png", "maps.npz", "panel.png"}
    assert {path.name for path in folder.iterdir()} == names
    is_brighter = A / 255 > B @ [0.299, 0.587, 0.114] / 255
    with np.load(folder / "maps.npz") as maps:
        for name in ("w_a", "v_b"):
            np.testing.assert_array_equal(maps[name], is_brighter)
        for name in ("w_b", "v_a"):
            np.testing.assert_array_equal(maps[name], ~is_brighter)
    np.testing.assert_array_equal(read_picture(folder / "w_a.png"), 255 * is_brighter)


def test_a_stack_of_more_than_two_has_no_maps(run, capsys):
    Image.fromarray(A).save(run / "a" / "3.png")
    count = len([*(run / "a").iterdir()])
    assert fuse("a", "-o", "out.png", "--maps") == 2
    err = capsys.readouterr().err
    assert f"expected two sources with --maps, got {count}" in err
    assert err.count("\n") == 1 and not (run / "out.png").exists()


def test_resuming_with_maps_makes_pictures_without_them_again(
    run, tree_of, params, monkeypatch
):
    def half(params, a, b):
        return dict.fromkeys(("w_a", "w_b", "v_a", "v_b"), np.full(a.shape[:2], 0.5))

    monkeypatch.setattr(model, "propose_maps", half)
    trees = {"fusion": params, "proposal": tree_of("proposal")}
    save_weights(run / "weights.safetensors", trees)
    assert fuse("a", "b", "-o", "out") == 0
    made = (run / "out" / "2.png").stat().st_mtime_ns
    assert fuse("a", "b", "-o", "out", "--resume") == 0
    assert (run / "out" / "2.png").stat().st_mtime_ns == made
    assert fuse("a", "b", "-o", "out", "--resume", "--maps") == 0
    panel = run / "out" / "2.maps" / "panel.png"
    made = panel.stat().st_mtime_ns
    assert fuse("a", "b", "-o", "out", "--resume", "--maps") == 0
    assert panel.stat().st_mtime_ns == made


def test_resuming_makes_maps_of_other_weights_again(run, tree_of, params, monkeypatch):
    share = {"w": 0.5}

    def constant(params, a, b):
        return dict.fromkeys(
            ("w_a", "w_b", "v_a", "v_b"), np.full(a.shape[:2], share["w"])
        )

    monkeypatch.setattr(model, "propose_maps", constant)
    trees = {"fusion": params, "proposal": tree_of("proposal")}
    save_weights(run / "weights.safetensors", trees)
    trees["fusion"] = jax.tree.map(lambda x: x / 2, params)
    save_weights(run / "other.safetensors", trees)
    assert fuse("a", "b", "-o", "out", "--maps") == 0
    share["w"] = 0.25
    other = {"weights": "other.safetensors"}
    assert fuse("a", "b", "-o", "out", "--resume", **other) == 0
    assert fuse("a", "b", "-o", "out", "--resume", "--maps", **other) == 0
    with np.load("out/1.maps/maps.npz") as maps:
        np.testing.assert_array_equal(maps["w_a"], 0.25)
    assert (run / "out" / "1.maps" / "panel.png").exists()


def test_what_belongs_to_a_picture_is_written(run):
    image = Image.fromarray(B)
    image.putalpha(Image.fromarray(A))
    image.save(run / "b" / "1.png")
    assert fuse("a/1.png", "b/1.png", "-o", "x.png") == 0
    with Image.open("x.png") as image:
        np.testing.assert_array_equal(image.getchannel("A"), A)


def fuse_shipped(*arguments):
    return main(["fuse", *map(str, arguments)])


def test_a_task_names_shipped_weights(run, shipped, params, capsys):
    assert fuse_shipped("a/1.png", "b/1.png", "-o", "x.png", "--task=heat") == 0
    expected = inference.fuse(A, B, weights=params)
    np.testing.assert_array_equal(read_picture("x.png"), expected)
    assert capsys.readouterr() == ("x.png 8x6\n", "")
    assert fuse("a/1.png", "b/1.png", "-o", "y.png", weights="scan") == 0
    np.testing.assert_array_equal(read_picture("y.png"), expected)


def test_without_weights_the_choice_is_told(run, shipped, params, capsys):
    (run / "a").rename(run / "thermal IR")
    (run / "b").rename(run / "vi")
    assert fuse_shipped("thermal IR", "vi", "-o", "out") == 0
    out, err = capsys.readouterr()
    assert out == "out/1.png 8x6\nout/2.png 8x6\n"
    assert err.splitlines()[0] == (
        "refusion: using the weights heat (Heat and light), because of the names "
        "ir and vi."
    )
    expected = inference.fuse(A, B, weights=params)
    np.testing.assert_array_equal(read_picture("out/2.png"), expected)
    # Named otherwise, they look as different as they are.
    assert fuse_shipped("thermal IR/1.png", "vi/2.png", "-o", "x.png") == 0
    (run / "vi").rename(run / "b")
    assert fuse_shipped("thermal IR/1.png", "b/2.png", "-o", "x.png") == 0
    assert "contents: they show different things" in capsys.readouterr().err


def test_a_stack_is_told_by_its_brightness(run, shipped, capsys):
    scene = np.arange(16, 64, dtype=np.uint8).reshape(6, 8)
    for factor, name in enumerate(("1", "2", "3"), start=1):
        Image.fromarray(factor * scene).save(run / f"{name}.png")
        Image.fromarray(scene + factor).save(run / f"{name}0.png")
    assert fuse_shipped("1.png", "2.png", "3.png", "-o", "x.png") == 0
    assert "using the weights bracket (Light)" in capsys.readouterr().err
    assert fuse_shipped("10.png", "20.png", "30.png", "-o", "x.png") == 0
    assert "using the weights depth (Depth)" in capsys.readouterr().err


def test_what_is_not_clear_is_asked(run, shipped, capsys):
    Image.fromarray(B[::-1]).save(run / "a" / "1.png")
    assert fuse_shipped("a/1.png", "b/1.png", "-o", "x.png") == 2
    assert capsys.readouterr() == (
        "",
        "refusion: expected sources whose names or contents show what they are, got "
        "none that do; choose the weights with --task=bracket|depth|heat|scan.\n",
    )
    for name in ("1.mp4", "2.mp4"):
        (run / name).write_bytes(b"a video")
    assert fuse_shipped("1.mp4", "2.mp4", "-o", "x.mp4") == 2
    assert "choose the weights with --task=" in capsys.readouterr().err
    assert not (run / "x.png").exists()


def test_weights_that_are_not_shipped_are_told(run, shipped, capsys):
    assert fuse_shipped("a", "b", "-o", "out", "--task=melt") == 2
    assert "among bracket, depth, heat, scan, got 'melt'" in capsys.readouterr().err
    assert fuse("a", "b", "-o", "out", "--task=heat") == 2
    assert "argument --weights: not allowed with" in capsys.readouterr().err
    for file in shipped.iterdir():
        file.unlink()
    assert fuse_shipped("a", "b", "-o", "out") == 2
    assert "expected --weights, got none, and none come with" in capsys.readouterr().err
    assert not (run / "out").exists()


def test_pages_of_one_file_and_pictures_of_one_folder_are_fused_as_a_stack(run, params):
    (run / "stack").mkdir()
    pages = [A, A.T.reshape(6, 8), A // 2]
    images = [Image.fromarray(page) for page in pages]
    images[0].save("pages.tif", save_all=True, append_images=images[1:])
    for number, image in enumerate(images):
        image.save(f"stack/{number + 8}.png")
    expected = inference.fuse(*pages, weights=params)
    for source in ("pages.tif", "stack"):
        assert fuse(source, "-o", "fused.png") == 0
        np.testing.assert_array_equal(read_picture("fused.png"), expected)


def test_what_is_left_out_is_said_and_the_picture_is_written(run, capsys):
    images = [Image.fromarray(A)] * 2
    images[0].save("two.tif", save_all=True, append_images=images[1:])
    assert fuse("two.tif", "b/1.png", "-o", "fused.png") == 0
    out, err = capsys.readouterr()
    assert out == "fused.png 8x6\n"
    assert err.startswith("refusion: two.tif has 2 pages; the first is fused")


def test_a_series_of_narrow_range_is_reported_once_and_counted(run, capsys):
    for stem, shift in (("1", 0), ("2", 9), ("3", 18)):
        levels = np.uint16(7000) + A.astype(np.uint16) + np.uint16(shift)
        Image.fromarray(levels).save(f"a/{stem}.png")
        Image.fromarray(B).save(f"b/{stem}.png")
    assert fuse("a", "b", "-o", "out") == 0
    err = capsys.readouterr().err.splitlines()
    assert "uses the levels 7" in err[0]
    assert "3 of 3 written" in err[1]
    assert (
        err[2]
        == "refusion: 3 pictures use little of their scale; only the first is named."
    )


def test_a_pipe_and_standard_input_are_read_once(run, params, monkeypatch):
    os.mkfifo("pipe")
    content = (run / "a" / "1.png").read_bytes()
    writer = threading.Thread(target=(run / "pipe").write_bytes, args=(content,))
    writer.start()
    assert fuse("pipe", "b/1.png", "-o", "piped.png") == 0
    writer.join()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert fuse("-", "b/1.png", "-o", "typed.png") == 0
    expected = inference.fuse(A, B, weights=params)
    for name in ("piped.png", "typed.png"):
        np.testing.assert_array_equal(read_picture(name), expected)


def test_standard_input_cannot_be_both_sources(run, capsys):
    assert fuse("-", "-", "-o", "fused.png") == 2
    told = capsys.readouterr().err
    assert "expected standard input as one source, got '-' twice; name files." in told
    assert not (run / "fused.png").exists()


def test_a_closed_standard_input_is_one_sentence(run, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)  # as Python does after `<&-`
    assert fuse("-", "b/1.png", "-o", "typed.png") == 2
    err = capsys.readouterr().err
    assert "on standard input, got a closed stream" in err and err.count("\n") == 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_does_not_stop_a_batch(run, monkeypatch, stream):
    monkeypatch.setattr(sys, stream, None)  # as Python does after `>&-` and `2>&-`
    assert fuse("a", "b", "-o", "out") == 0
    assert len(list((run / "out").iterdir())) == 2
    assert getattr(sys, stream) is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_a_stream_does_not_stop_a_batch(run, monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert fuse("a", "b", "-o", "out") == 0
    assert len(list((run / "out").iterdir())) == 2
    err = capsys.readouterr().err
    assert err.count("No space left on device; what would follow on it is lost") == 1
    assert "2 of 2 written" in err


def test_a_name_that_the_terminal_cannot_show_does_not_end_the_batch(run, monkeypatch):
    for folder in ("a", "b"):
        (run / folder / "1.png").rename(run / folder / "\u591c.png")
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", narrow)
    assert fuse("a", "b", "-o", "out") == 0
    printed = narrow.buffer.getvalue().decode("cp1252")
    assert printed.splitlines() == ["out/2.png 8x6", r"out/\u591c.png 8x6"]


def test_a_reader_that_goes_away_does_not_end_the_batch(run):
    code = (
        "import sys; from refusion_jax.commands.messages import say\n"
        "for _ in range(20000): say('a line of some length')\n"
        "print('done', file=sys.stderr)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == b"done\n"
    child.stderr.close()
    assert child.wait() == 0


def test_a_dry_run_tells_the_plan_and_writes_nothing(run, capsys):
    assert fuse("a", "b", "-o", "out", "--dry-run") == 0
    assert capsys.readouterr().out == (
        "out/1.png <- a/1.png b/1.png\nout/2.png <- a/2.png b/2.png\n"
    )
    assert not (run / "out").exists()
    assert fuse("a", "b", "-o", "out", "--dry-run", "--json") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == {
        "output": "out/1.png",
        "exists": False,
        "sources": ["a/1.png", "b/1.png"],
    }


def test_json_tells_of_each_picture_how_it_was_made(run, capsys):
    (run / "a" / "2.png").write_bytes(b"no picture")
    assert fuse("a", "b", "-o", "out", "--json") == 1
    made, failed = map(json.loads, capsys.readouterr().out.splitlines())
    assert (made["output"], made["width"], made["height"]) == ("out/1.png", 8, 6)
    assert made["provenance"] == json.loads(origin_of("out/1.png"))
    assert made["provenance"]["weights_sha256"] == sha256_of(
        run / "weights.safetensors"
    )
    assert "a/2.png" in failed["error"]


def test_outputs_that_exist_can_be_spared(run, capsys):
    assert fuse("a/1.png", "b/1.png", "-o", "x.png", "--no-overwrite") == 0
    before = (run / "x.png").read_bytes()
    assert fuse("b/1.png", "a/1.png", "-o", "x.png", "--no-overwrite") == 2
    assert "got x.png, which exists (1 of 1 do)" in capsys.readouterr().err
    assert (run / "x.png").read_bytes() == before


def test_resuming_makes_again_what_other_options_or_weights_made(run, tree_of, capsys):
    assert fuse("a", "b", "-o", "out") == 0
    first = (run / "out" / "1.png").read_bytes()
    capsys.readouterr()
    assert fuse("a", "b", "-o", "out", "--resume") == 0
    assert capsys.readouterr().out == "out/1.png kept\nout/2.png kept\n"
    assert fuse("a", "b", "-o", "out", "--resume", "--range=none") == 0
    out, err = capsys.readouterr()
    assert "kept" not in out
    # Two threads read ahead: either may be the first.
    assert re.search(
        r"out/[12]\.png was made with other weights, options or sources and is", err
    )
    assert "2 pictures are made again; only the first is named" in err
    assert (run / "out" / "1.png").read_bytes() != first
    # What tells nothing is kept, as before.
    Image.fromarray(A).save(run / "out" / "1.png")
    assert fuse("a", "b", "-o", "out", "--resume") == 0
    assert "out/1.png kept" in capsys.readouterr().out


def test_resuming_makes_again_what_other_sources_made(run, capsys):
    (run / "c").mkdir()
    Image.fromarray(A.T.reshape(A.shape)).save(run / "c" / "1.png")
    Image.fromarray(A.T.reshape(A.shape)).save(run / "c" / "2.png")
    assert fuse("a", "b", "-o", "out") == 0
    two = (run / "out" / "1.png").read_bytes()
    capsys.readouterr()
    assert fuse("a", "c", "b", "-o", "out", "--resume") == 0
    out, err = capsys.readouterr()
    assert "kept" not in out and "other weights, options or sources" in err
    assert (run / "out" / "1.png").read_bytes() != two
    assert fuse("a", "c", "b", "-o", "out", "--resume") == 0
    assert capsys.readouterr().out == "out/1.png kept\nout/2.png kept\n"
    # A burst: one folder that grows.
    assert fuse("a", "-o", "burst.png", "--resume") == 0
    Image.fromarray(A.T.reshape(A.shape)).save(run / "a" / "3.png")
    assert fuse("a", "-o", "burst.png", "--resume") == 0
    assert capsys.readouterr().out == "burst.png 8x6\n" * 2


def test_one_picture_twice_is_told(run, capsys):
    assert fuse("a/1.png", "a/2.png", "-o", "x.png") == 0
    assert "a/1.png and a/2.png are the same picture" in capsys.readouterr().err


def test_weights_that_do_not_suit_are_told(run, shipped, capsys):
    (run / "a").rename(run / "ir")
    (run / "b").rename(run / "vi")
    assert fuse_shipped("vi/1.png", "ir/1.png", "-o", "x.png", "--task=heat") == 0
    err = capsys.readouterr().err
    assert "but the names say vi and ir; exchange the sources" in err
    assert fuse_shipped("ir/1.png", "vi/1.png", "-o", "x.png", "--task=heat") == 0
    assert capsys.readouterr().err == ""
    for folder, name in (("ir", "p"), ("vi", "q")):
        (run / folder / "1.png").rename(run / f"{name}.png")
    assert fuse_shipped("q.png", "p.png", "-o", "x.png", "--task=heat") == 0
    assert "the first source is coloured and the second is grey" in (
        capsys.readouterr().err
    )
    assert fuse_shipped("p.png", "q.png", "-o", "x.png", "--task=depth") == 0
    assert "other weights may suit them better" in capsys.readouterr().err


def test_options_are_named_as_the_command_has_them(run, capsys):
    Image.fromarray(A[1:]).save(run / "a" / "1.png")
    assert fuse("a/1.png", "b/1.png", "-o", "x.png") == 1
    assert "choose --align=crop" in capsys.readouterr().err
    assert fuse("https://a.org/x.png", "b/1.png", "-o", "x.png") == 2
    assert "got the web address" in capsys.readouterr().err


def test_quiet_prints_errors_only(run, capsys):
    assert fuse("a", "b", "-o", "out", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert (run / "out" / "2.png").exists()
    Image.fromarray(A[:3]).save(run / "a" / "1.png")
    assert fuse("a", "b", "-o", "out", "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("refusion: 1: expected a pair of equal size")
