"""ONNX files, in the environment that experiments/README.md describes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.export.artefact import metadata_file
from refusion_jax.fusing.inference import fuse_pictures
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.refusion.model import ReFusionModel
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.store import as_model

WHY = "jax2onnx and onnxruntime have an environment of their own, see experiments/"
pytest.importorskip("jax2onnx", reason=WHY)
onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)
export_onnx = pytest.importorskip("refusion_jax.export.onnx_export")

pytestmark = pytest.mark.filterwarnings("ignore")  # of those two packages
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def params(params):
    """The last kernel large: the pictures fill the range."""
    return {**params, "tail2": 4 * params["tail2"]}


@pytest.fixture(scope="module")
def outside(tmp_path_factory, params):
    path = tmp_path_factory.mktemp("onnx") / "fusion.onnx"
    export_onnx.export_onnx(as_model(params), path)
    return path


@pytest.mark.parametrize("size", [(1, 37, 53), (3, 16, 1), (2, 1, 9), (1, 1, 1)])
def test_onnx_runtime_gives_what_the_network_gives_at_any_size(outside, params, size):
    session = onnxruntime.InferenceSession(outside)
    pair = RNG.random((2, *size, 1), np.float32)
    feeds = dict(zip(("source_a", "source_b"), pair, strict=True))
    fused = session.run(["fused"], feeds)[0]
    expected = jax.jit(networks.fuse)(params, *pair)
    np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-4)


def test_the_margin_of_weights_is_in_the_file(tmp_path, params):
    model = ReFusionModel({"fusion": params}, "here", {"margin": "8"})
    export_onnx.export_onnx(model, tmp_path / "margin.onnx")
    exported = export_onnx.load_onnx(tmp_path / "margin.onnx")
    for size in ((1, 21, 13), (2, 1, 3)):  # also below the margin
        pair = RNG.random((2, *size, 1), np.float32)
        for fused, source_a, source_b in zip(exported.fuse(*pair), *pair, strict=True):
            expected = model.fuse(jnp.asarray(source_a), jnp.asarray(source_b))
            np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-4)


def test_its_inputs_are_named_and_of_any_size(outside):
    session = onnxruntime.InferenceSession(outside)
    assert [x.name for x in session.get_inputs()] == ["source_a", "source_b"]
    assert [x.name for x in session.get_outputs()] == ["fused"]
    for tensor in session.get_inputs():
        assert tensor.shape == ["batch", "height", "width", 1]
        assert tensor.type == "tensor(float)"
    record = json.loads(metadata_file(outside).read_text())
    assert list(record["inputs"]) == ["source_a", "source_b"]


@pytest.mark.parametrize("rule", ["stretch", "source"])
def test_colour_inside_is_the_colour_of_the_package(tmp_path, params, rule):
    path = tmp_path / "colour.onnx"
    export_onnx.export_onnx(as_model(params), path, colour="inside", output_range=rule)
    pair = RNG.random((2, 2, 21, 13, 3), np.float32)
    pair[0, 1] = pair[0, 1, ..., :1]  # grey and colour
    fused = export_onnx.load_onnx(path).fuse(*pair)
    for result, source_a, source_b in zip(fused, *pair, strict=True):
        expected = fuse_pictures(
            as_model(params), source_a, source_b, rules=Rules(output_range=rule)
        )
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


def test_other_names_are_refused(tmp_path, params):
    with pytest.raises(ValueError, match=r"ending in \.onnx, got .*a\.jax"):
        export_onnx.export_onnx(as_model(params), tmp_path / "a.jax")
