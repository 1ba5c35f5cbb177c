import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from refusion_jax import cli, inference, nets
from refusion_jax.cli import main
from refusion_jax.data.pictures import read_picture
from refusion_jax.weights import save_weights

A = np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)
B = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def params():
    """F with any numbers: `init_params` compiles for long."""
    rng = np.random.default_rng(5)
    return jax.tree.map(
        lambda leaf: rng.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
        jax.eval_shape(nets.init_params, jax.random.key(0)).fusion,
    )


@pytest.fixture
def run(tmp_path, params, monkeypatch):
    """The current folder: two folders of two pairs, and a weight file."""
    monkeypatch.chdir(tmp_path)
    # A network that compiles at once, and needs the weights that were named.
    monkeypatch.setattr(
        inference,
        "fuse_luminance",
        lambda params, a, b: a + params["tail2"][0, 0, 0, 0] * b,
    )
    for folder, picture in (("a", A), ("b", B)):
        (tmp_path / folder).mkdir()
        for stem in ("1", "2"):
            Image.fromarray(picture).save(tmp_path / folder / f"{stem}.png")
    save_weights(tmp_path / "weights.safetensors", {"fusion": params})
    return tmp_path


def fuse(*arguments, weights="weights.safetensors"):
    return main(["fuse", *map(str, arguments), "--weights", weights])


def test_two_files_give_the_picture_that_the_library_gives(run, params, capsys):
    assert fuse("a/1.png", "b/1.png", "-o", "fused.png") == 0
    expected = inference.fuse(A, B, weights=params)
    np.testing.assert_array_equal(read_picture("fused.png"), expected)
    assert capsys.readouterr() == ("fused.png 8x6\n", "")


def test_two_folders_are_paired_and_written_by_stem(run, params, capsys):
    assert fuse("a", "b", "--output", "new/fused", weights=".") == 0
    expected = inference.fuse(A, B, weights=params)
    for stem in ("1", "2"):
        np.testing.assert_array_equal(read_picture(f"new/fused/{stem}.png"), expected)
    assert capsys.readouterr().out == "new/fused/1.png 8x6\nnew/fused/2.png 8x6\n"


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
    assert (
        "refusion: 2: expected a pair of one size, got a/2.png of 6x8 and b/2.png of 8x6"
        in capsys.readouterr().err
    )
    assert fuse("a/2.png", "b/2.png", "-o", "out") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_exhausted_memory_fails_one_pair_in_one_sentence(run, capsys, monkeypatch):
    def exhaust(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nmore lines")

    monkeypatch.setattr(inference, "fuse_luminance", exhaust)
    assert fuse("a/1.png", "b/1.png", "-o", "out.png") == 1
    assert capsys.readouterr().err == (
        "refusion: 1: RESOURCE_EXHAUSTED: out of memory\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a/1.png", "none.png", "-o", "x.png"), "got nothing at none.png"),
        (("none", "b", "-o", "out"), "got nothing at none"),
        (("a", "b/1.png", "-o", "out"), "two files or two folders, got a and b/1.png"),
        (("a/1.png", "b/1.png", "-o", "x.gif"), "got '.gif' in x.gif"),
        (
            ("a/1.png", "b/1.png", "-o", "a/1.png"),
            "apart from the sources, got a/1.png",
        ),
        (("a", "b", "-o", "b/../a"), "apart from the sources"),
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


@pytest.mark.parametrize(
    "arguments", [[], ["melt"], ["fuse"], ["fuse", "a", "b"], ["fuse", "--strange"]]
)
def test_arguments_that_do_not_parse_exit_with_2_and_the_usage(capsys, arguments):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: refusion")


@pytest.mark.parametrize("arguments", [["--help"], ["fuse", "--help"]])
def test_help_shows_examples_and_exits_with_0(capsys, arguments):
    assert main(arguments) == 0
    assert cli.EXAMPLES in capsys.readouterr().out


def test_help_loads_neither_jax_nor_pillow():
    program = (
        "import sys; from refusion_jax.cli import main; main(['--help']); "
        "sys.exit(bool({'jax', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True).returncode
        == 0
    )
