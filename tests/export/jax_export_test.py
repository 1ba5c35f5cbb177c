"""Exports as their users have them: a file, and a process without this package."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.cli import main
from refusion_jax.export import checked
from refusion_jax.export.artefact import load_exported, metadata_file, write_artefact
from refusion_jax.export.jax_export import export_fusion
from refusion_jax.fusing.inference import fuse_pictures
from refusion_jax.methods.refusion.forward import at_once
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.store import as_model, save_weights

pytest.importorskip(
    "flatbuffers", reason="flatbuffers is not installed (the extra `export`)"
)

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
# None of them is the export's: three strips, one column, one row.
SIZES = [(1, 35, 6), (3, 17, 1), (1, 1, 9)]
PAIRS = {size: RNG.random((2, *size, 1), np.float32) for size in SIZES}
COLOURS = RNG.random((2, 3, 18, 7, 3), np.float32)
COLOURS[0, 1] = COLOURS[0, 1, ..., :1]  # grey and colour
COLOURS[:, 2] = COLOURS[:, 2, ..., :1]  # grey and grey
# What a user types, after the sentries: only these three packages are allowed to load.
ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"refusion_jax", "flax", "optax", "orbax",
                                  "jaxtyping", "safetensors", "absl", "PIL"}:
            raise ImportError(f"{name} is not here")
sys.meta_path.insert(0, Refuse())
import jax
import numpy as np
from jax import export
artefact, pairs, results = sys.argv[1:]
with open(artefact, "rb") as file:
    fuse = jax.jit(export.deserialize(bytearray(file.read())).call)
pairs = np.load(pairs)
np.savez(results, **{name: fuse(*pair) for name, pair in pairs.items()})
"""


@pytest.fixture(scope="module")
def params(params):
    """The last kernel large: the pictures fill the range."""
    return {**params, "tail2": 4 * params["tail2"]}


@pytest.fixture(scope="module")
def weights(tmp_path_factory, params):
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(path, {"fusion": params})
    return path


def run_binary(weights, out, *flags):
    command = [sys.executable, "experiments/export.py", f"--weights={weights}"]
    return subprocess.run(
        [*command, f"--out={out}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def outside(tmp_path_factory, weights):
    """What the binary writes, and what it prints."""
    path = tmp_path_factory.mktemp("outside") / "fusion.jax"
    done = run_binary(weights, path, "--task=any")
    assert done.returncode == 0, done.stderr
    return path, done.stdout


@pytest.fixture(scope="module")
def inside(tmp_path_factory, params):
    path = tmp_path_factory.mktemp("inside") / "colour.jax"
    return path, export_fusion(as_model(params), path, colour="inside")


def run_alone(artefact, folder, pairs):
    """Results of an artefact in a process that has JAX, NumPy and flatbuffers."""
    np.savez(folder / "pairs.npz", **pairs)
    files = (artefact, folder / "pairs.npz", folder / "results.npz")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *map(str, files)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "results.npz")


@jax.jit
def network(params, source_a, source_b):
    return networks.fuse(params, source_a, source_b)


def test_alone_it_gives_what_the_network_gives_at_any_size(outside, params, tmp_path):
    results = run_alone(outside[0], tmp_path, {str(s): PAIRS[s] for s in SIZES})
    for size in SIZES:
        expected = network(params, *map(jnp.asarray, PAIRS[size]))
        assert results[str(size)].dtype == np.float32
        np.testing.assert_allclose(results[str(size)], expected, rtol=0, atol=1e-5)


def test_colour_inside_is_the_colour_of_the_package(inside, params, tmp_path):
    """Colour with colour, grey with colour and grey with grey, in one batch."""
    fused = run_alone(inside[0], tmp_path, {"rgb": COLOURS})["rgb"]
    assert fused.shape == COLOURS.shape[1:]
    for result, source_a, source_b in zip(fused, *COLOURS, strict=True):
        expected = fuse_pictures(as_model(params), source_a, source_b)
        if expected.ndim == 2:
            expected = np.stack([expected] * 3, axis=-1)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)
        assert (result.min(), result.max()) == pytest.approx((0, 1), abs=1e-6)


def test_accelerators_run_the_same_on_whole_pictures(params):
    """Their branch of the program does not run here, so what it is made from does."""
    pair = jnp.asarray(RNG.random((2, 2, 1, 4, 1)), jnp.float32)
    fused = jax.jit(at_once)(params, *pair)
    np.testing.assert_allclose(fused, network(params, *pair), rtol=0, atol=1e-5)


def test_the_json_says_what_it_is(outside, weights):
    path, printed = outside
    record = json.loads(metadata_file(path).read_text())
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["bytes"] == path.stat().st_size
    assert record["weights"] == {
        "name": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    assert (record["task"], record["colour"]) == ("any", "outside")
    assert record["platforms"] == ["cpu", "cuda", "tpu"]
    assert record["network"]["parameters"] == 59_856
    assert record["versions"]["jax"] == jax.__version__
    assert list(record["inputs"]) == ["source_a", "source_b"]
    for picture in (*record["inputs"].values(), *record["outputs"].values()):
        assert picture["shape"] == ["batch", "height", "width", 1]
        assert picture["range"] == [0, 1]
    assert f"{path}: {record['bytes']:,} bytes" in printed


def test_neither_picture_nor_platform_makes_it_large(outside, inside):
    """The weights are 240 kB; a constant of a picture's size would show."""
    for path in (outside[0], inside[0]):
        assert 240_000 < path.stat().st_size < 1_000_000


def test_info_prints_the_metadata(outside, capsys):
    path, _ = outside
    assert main(["info", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"export: {path}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for line in (f"sha256: {digest}", "task: any", "network.parameters: 59856"):
        assert line in lines


def test_it_loads_through_us_with_its_metadata(outside, params):
    loaded = load_exported(outside[0])
    assert loaded.metadata["colour"] == "outside"
    pair = RNG.random((2, 2, 4, 5, 1), np.float32)
    fused = jax.jit(loaded.fuse)(*pair)
    expected = network(params, *map(jnp.asarray, pair))
    np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-5)


# What can be wrong with it


@pytest.fixture
def copy(outside, tmp_path):
    """A copy to spoil, and how its JSON is changed."""
    path = tmp_path / "copy.jax"
    path.write_bytes(outside[0].read_bytes())
    record = json.loads(metadata_file(outside[0]).read_text())

    def note(**changes):
        metadata_file(path).write_text(json.dumps({**record, **changes}))
        return path

    return note


@pytest.mark.parametrize("ending", ["jax", "onnx"])
def test_a_missing_folder_is_told_before_weights_are_read(tmp_path, capsys, ending):
    out = tmp_path / "nowhere" / f"out.{ending}"
    assert main(["export", "missing.pth", "-o", str(out)]) == 2
    err = capsys.readouterr().err
    assert f"got no folder at {out.parent}; create it first." in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("weights", "rule", "expected"),
    [("mfif", None, "source"), ("ivif", None, "stretch"), ("mfif", "none", "none")],
)
def test_the_range_is_that_of_refusion_fuse_unless_another_is_named(
    tmp_path, monkeypatch, weights, rule, expected
):
    seen = []
    record = {"bytes": 1}
    monkeypatch.setattr(checked, "export_fusion", lambda *_, **__: record)
    monkeypatch.setattr(checked, "load_exported", lambda _: SimpleNamespace(fuse=None))
    monkeypatch.setattr(checked, "difference", lambda *_, **x: seen.append(x) or 0.0)
    options = {"colour": "inside", "output_range": rule}
    checked.export_checked(weights, tmp_path / "x.jax", **options)
    assert seen == [{"colour": "inside", "output_range": expected}]


def test_a_damaged_file_is_refused(copy, capsys):
    path = copy()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"with the SHA-256 .*damaged or another"):
        load_exported(path)
    assert main(["info", str(path)]) == 2
    err = capsys.readouterr().err
    assert "SHA-256" in err and err.count("\n") == 1


def test_a_calling_convention_that_this_jax_does_not_run_is_told(copy):
    highest = jax.export.maximum_supported_calling_convention_version
    path = copy(calling_convention=highest + 1, versions={"jax": "99.0"})
    message = f"which JAX {jax.__version__} runs, got {highest + 1} in .* of JAX 99.0"
    with pytest.raises(ValueError, match=message):
        load_exported(path)


def test_an_export_for_other_devices_is_told(copy):
    with pytest.raises(
        ValueError, match=r"for cpu, got .* for cuda, tpu; set JAX_PLATFORMS"
    ):
        load_exported(copy(platforms=["cuda", "tpu"]))


def test_a_program_that_this_jax_cannot_read_is_told(copy):
    path = copy()
    record = json.loads(metadata_file(path).read_text())
    facts = {k: v for k, v in record.items() if k not in ("sha256", "bytes")}
    write_artefact(path, b"\x00" * 64, {**facts, "versions": {"jax": "99.0"}})
    with pytest.raises(ValueError, match=r"can read, got .* of JAX 99.0"):
        load_exported(path)


@pytest.mark.parametrize("text", [None, "cut off", "[]", '{"format": "other"}'])
def test_an_artefact_without_its_json_is_told(copy, text):
    path = copy()
    beside = metadata_file(path)
    if text is None:
        beside.unlink()
    else:
        beside.write_text(text)
    with pytest.raises((FileNotFoundError, ValueError), match=r"copy\.jax\.json"):
        load_exported(path)


@pytest.mark.parametrize(
    ("name", "rules", "message"),
    [
        ("a.bin", {}, r"ending in \.jax, got .*a\.bin"),
        ("a.jax", {"colour": "both"}, "expected colour outside or inside, got 'both'"),
        ("a.jax", {"output_range": "x"}, "expected an output range of stretch"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path, params, name, rules, message):
    with pytest.raises(ValueError, match=message):
        export_fusion(as_model(params), tmp_path / name, **rules)
    assert not list(tmp_path.iterdir())


def test_the_binary_tells_a_bad_input_in_a_sentence(tmp_path):
    done = run_binary(tmp_path / "none.pth", tmp_path / "a.jax")
    assert done.returncode == 1
    assert "none.pth" in done.stderr and done.stderr.count("\n") == 1
