import io
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from refusion_jax.files import atomic
from refusion_jax.fusing.inference import fuse_pictures
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.pictures.codecs import read_picture
from refusion_jax.weights.authors import convert_authors
from refusion_jax.weights.pth import read_pth
from refusion_jax.weights.store import (
    load_any_weights,
    load_model,
    load_weights,
    save_weights,
)

AUTHORS_FILES = [("ivif", "ReFusion_IVIF.pth"), ("mif", "ReFusion_MIF.pth")]


def test_a_missing_file_is_named(tmp_path):
    for read in (read_pth, load_weights, load_model):
        with pytest.raises(FileNotFoundError, match=r"weights at .*none\.(pth|safe)"):
            read(tmp_path / ("none.pth" if read is read_pth else "none.safetensors"))


# The authors' names


@cache
def fresh(interaction=True, gating=True, decision=False, width=16, blocks=2):
    """Trees of the right shapes with any numbers: `init_params` compiles for long."""
    init = partial(
        networks.init_params,
        interaction=interaction,
        gating=gating,
        decision=decision,
        reconstruction_width=width,
        reconstruction_blocks=blocks,
    )
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.normal(size=leaf.shape).astype(np.float32),
        jax.eval_shape(init, jax.random.key(0)),
    )


def authors_block(prefix, width):
    yield f"{prefix}.norm1.body.weight", (width,)
    yield f"{prefix}.norm1.body.bias", (width,)
    yield f"{prefix}.attn.temperature", (8, 1, 1)
    yield f"{prefix}.attn.qkv.weight", (3 * width, width, 1, 1)
    yield f"{prefix}.attn.qkv_dwconv.weight", (3 * width, 1, 3, 3)
    yield f"{prefix}.attn.project_out.weight", (width, width, 1, 1)
    yield f"{prefix}.norm2.body.weight", (width,)
    yield f"{prefix}.norm2.body.bias", (width,)
    yield f"{prefix}.ffn.project_in.weight", (4 * width, width, 1, 1)
    yield f"{prefix}.ffn.dwconv.weight", (4 * width, 1, 3, 3)
    yield f"{prefix}.ffn.project_out.weight", (width, 2 * width, 1, 1)


def authors_tensors():
    """Names and shapes of the 86 distinct tensors, as the released files have them."""
    for s in (1, 2):
        yield f"project_in_{s}.weight", (16, 1, 3, 3)
        for i in (0, 1):
            yield from authors_block(f"encoder{s}.{i}", 16)
        yield f"FM.temperature{s}", (8, 1, 1)
        yield f"FM.qkv{s}.weight", (48, 16, 1, 1)
        yield f"FM.qkv{s}_dwconv.weight", (48, 1, 3, 3)
        yield f"FM.project_mid{s}.weight", (16, 16, 1, 1)
        yield f"FM.project_E{s}.weight", (64, 16, 1, 1)
        yield f"FM.project_E{s}_d.weight", (64, 1, 3, 3)
        yield f"FM.project_out{s}.weight", (32, 64, 1, 1)
    yield "FM.project_E.weight", (128, 32, 1, 1)
    yield "FM.project_E_d.weight", (128, 1, 3, 3)
    for i in (0, 1):
        yield from authors_block(f"decoder.{i}", 32)
    yield "project_out_0.weight", (16, 32, 3, 3)
    yield "project_out_1.weight", (1, 16, 3, 3)


@pytest.fixture
def state_dict():
    """As the authors' files: every convolution a second time as `x.conv.weight`."""
    rng = np.random.default_rng(0)
    tensors = {}
    for key, shape in authors_tensors():
        tensors[key] = rng.normal(size=shape).astype(np.float32)
        if key.endswith(".weight") and ".body." not in key:
            tensors[key.replace(".weight", ".conv.weight")] = tensors[key].copy()
    return tensors


def test_the_authors_140_tensors_fill_the_fusion_network(state_dict):
    assert len(state_dict) == 140
    params = convert_authors(state_dict)
    ours, expected = (
        jax.tree.map(lambda x: (x.shape, x.dtype), tree)
        for tree in (params, fresh().fusion)
    )
    assert ours == expected
    assert sum(x.size for x in jax.tree.leaves(params)) == 59_856


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("project_in_2.weight", lambda p: p["encoders"]["project_in"][1]),
        (
            "encoder2.0.attn.qkv_dwconv.weight",
            lambda p: p["encoders"]["body"]["attention"]["qkv_depthwise"][1, 0],
        ),
        (
            "encoder1.1.norm2.body.bias",
            lambda p: p["encoders"]["body"]["norm2"]["bias"][0, 1],
        ),
        (
            "decoder.1.norm1.body.weight",
            lambda p: p["decoder"]["norm1"]["scale"][1],
        ),
        (
            "decoder.0.ffn.project_out.weight",
            lambda p: p["decoder"]["feed_forward"]["project_out"][0],
        ),
        ("FM.qkv2.weight", lambda p: p["cross_attention"]["qkv"][1]),
        ("FM.temperature1", lambda p: p["cross_attention"]["temperature"][0]),
        ("FM.project_mid2.weight", lambda p: p["cross_attention"]["project_out"][1]),
        ("FM.project_E.weight", lambda p: p["refinement"]["gate"]),
        ("FM.project_E_d.weight", lambda p: p["refinement"]["gate_depthwise"]),
        ("FM.project_E1.weight", lambda p: p["refinement"]["expand"][0]),
        ("FM.project_E2_d.weight", lambda p: p["refinement"]["expand_depthwise"][1]),
        ("FM.project_out1.weight", lambda p: p["refinement"]["project_out"][0]),
        ("project_out_0.weight", lambda p: p["tail1"]),
        ("project_out_1.weight", lambda p: p["tail2"]),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_each_of_the_authors_tensors_finds_its_place(state_dict, theirs, ours):
    placed = ours(convert_authors(state_dict))
    np.testing.assert_array_equal(placed, state_dict[theirs].reshape(placed.shape))


def test_the_second_copy_of_a_convolution_may_be_missing(state_dict):
    del state_dict["FM.qkv1.conv.weight"]
    convert_authors(state_dict)


def test_two_copies_of_a_convolution_must_agree(state_dict):
    state_dict["FM.qkv1.conv.weight"][0, 0] += 1
    with pytest.raises(
        ValueError, match=r"FM\.qkv1\.conv\.weight and FM\.qkv1\.weight"
    ):
        convert_authors(state_dict)


def test_what_is_wrong_with_a_state_dict_is_said_at_once(state_dict):
    for key in ("FM.qkv1.weight", "FM.qkv1.conv.weight", "FM.temperature2"):
        del state_dict[key]
    state_dict["head.weight"] = np.zeros((3, 3), np.float32)
    state_dict["FM.temperature1"] = np.zeros((4, 1, 1), np.float32)
    with pytest.raises(ValueError) as error:
        convert_authors(state_dict)
    for part in (
        "2 missing (first 'FM.qkv1.weight')",
        "1 unexpected (first 'head.weight')",
        "'FM.temperature1' of shape (4, 1, 1), not (8, 1, 1)",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_weights_of_the_authors_are_refused(state_dict, value):
    for key in ("tail", "project_out_0.weight", "project_out_0.conv.weight"):
        if key in state_dict:
            state_dict[key][0, 0, 0, 0] = value
    with pytest.raises(
        ValueError, match=r"non-finite values in 'project_out_0\.weight'"
    ):
        convert_authors(state_dict)


# Our own files


def assert_same_trees(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b)


def test_all_three_trees_and_the_metadata_come_back(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, fresh(), {"task": "any", "note": "ü"})
    loaded = load_weights(path)
    assert_same_trees(loaded.trees, dict(fresh()._asdict()))
    assert loaded.metadata == {"task": "any", "note": "ü"}
    assert load_model(path).facts["parameters"] == 59_856


@pytest.mark.parametrize(
    "variant",
    [
        {"interaction": False},
        {"gating": False},
        {"interaction": False, "gating": False},
        {"decision": True},
        {"width": 8, "blocks": 1},
    ],
    ids=repr,
)
def test_variants_are_recognised_by_their_parameters(tmp_path, variant):
    path = tmp_path / "x.safetensors"
    save_weights(path, fresh(**variant))
    assert_same_trees(load_weights(path).trees, dict(fresh(**variant)._asdict()))


def test_one_tree_alone_is_enough(tmp_path):
    path = tmp_path / "x.safetensors"
    save_weights(path, {"proposal": fresh().proposal})
    assert list(load_weights(path).trees) == ["proposal"]
    with pytest.raises(ValueError, match=r"fusion network in .*got only proposal"):
        load_model(path)


def test_a_run_folder_is_read_by_its_export(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"weights\.safetensors, got none; .*run"
    ):
        load_model(tmp_path)
    save_weights(tmp_path / "weights.safetensors", {"fusion": fresh().fusion})
    assert_same_trees(load_any_weights(str(tmp_path)).trees["fusion"], fresh().fusion)


def test_other_endings_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a \.pth file, a run folder or .*\.npz"):
        load_model(path)
    with pytest.raises(ValueError, match=r"ending in \.safetensors, got .*\.npz"):
        save_weights(path, fresh())


def changed(change):
    tree = jax.tree.map(np.array, fresh().fusion)
    change(tree)
    return tree


WRONG_TREES = [
    (lambda tree: tree.pop("tail1"), "1 missing (first 'tail1')"),
    (lambda tree: tree.update(head=np.zeros(3)), "1 unexpected (first 'head')"),
    (
        lambda tree: tree["cross_attention"].pop("qkv"),
        "1 missing (first 'cross_attention/qkv')",
    ),
    (
        lambda tree: tree.update(tail2=np.zeros((16, 1, 3, 3), np.float32)),
        "'tail2' of shape (16, 1, 3, 3), not (1, 16, 3, 3)",
    ),
    (
        lambda tree: tree.update(tail2=tree["tail2"].astype(np.float64)),
        "'tail2' of type float64, not float32",
    ),
    (
        lambda tree: tree["tail2"].__setitem__((0, 0, 0, 0), np.inf),
        "non-finite values in 'tail2'",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG_TREES)
def test_a_wrong_tree_is_neither_saved_nor_loaded(tmp_path, change, message):
    tree, path = changed(change), tmp_path / "x.safetensors"
    with pytest.raises(ValueError) as error:
        save_weights(path, {"fusion": tree})
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())
    leaves = {
        "fusion/" + jax.tree_util.keystr(place, simple=True, separator="/"): leaf
        for place, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    path.write_bytes(safetensors.numpy.save(leaves))
    with pytest.raises(ValueError) as error:
        load_weights(path)
    assert message in str(error.value)


def test_an_impossible_width_of_r_is_a_sentence(tmp_path):
    tree = jax.tree.map(np.array, fresh().reconstruction)
    attention = tree["branches"]["encoder"]["body"]["attention"]
    attention["qkv"] = np.zeros((2, 2, 27, 9), np.float32)
    with pytest.raises(ValueError, match=r"attention/qkv' of shape \(2, 2, 27, 9\)"):
        save_weights(tmp_path / "x.safetensors", {"reconstruction": tree})


@pytest.mark.parametrize("trees", [{}, {"fuse": {"x": np.zeros(1, np.float32)}}])
def test_trees_of_other_names_are_refused(tmp_path, trees):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="fusion, reconstruction, proposal"):
        save_weights(path, trees)
    leaves = {f"{name}/x": tree["x"] for name, tree in trees.items()}
    path.write_bytes(safetensors.numpy.save(leaves))
    with pytest.raises(ValueError, match=r"fusion, reconstruction, proposal .*got"):
        load_weights(path)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 64])
def test_a_broken_safetensors_file_is_named(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"got .*x\.safetensors \("):
        load_weights(path)


def test_a_truncated_safetensors_file_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    save_weights(path, {"fusion": fresh().fusion})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"got .*x\.safetensors \("):
        load_weights(path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    save_weights(path, {"fusion": fresh().fusion}, {"version": "old"})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(atomic.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(path, {"fusion": fresh().fusion}, {"version": "new"})
    assert list(tmp_path.iterdir()) == [path]
    assert load_weights(path).metadata == {"version": "old"}


# Parity with the authors' network


@pytest.mark.parametrize(("task", "file"), AUTHORS_FILES)
def test_the_released_files_hold_140_tensors_of_finite_weights(shared, task, file):
    state_dict = read_pth(shared("official", task, file))
    assert len(state_dict) == 140
    model = load_model(shared("official", task, file))
    assert model.facts == {
        "parameters": 59_856,
        "interaction": True,
        "gating": True,
        "decision": False,
        "margin": 0,
    }


@pytest.mark.parametrize(
    ("task", "file", "folder_a", "folder_b", "stem"),
    [
        (*AUTHORS_FILES[0], "infrared", "visible", "00710N"),
        (*AUTHORS_FILES[0], "infrared", "visible", "00906N"),
        (*AUTHORS_FILES[1], "CT_PET_SPECT", "MRI", "MRI_PET_14"),
        (*AUTHORS_FILES[1], "CT_PET_SPECT", "MRI", "MRI_PET_37"),
    ],
)
def test_the_released_weights_fuse_as_the_authors_program_does(
    shared, hand_model, task, file, folder_a, folder_b, stem
):
    """Recorded: the network's output before the stretch, and the picture in 0..255."""
    folder = shared("official", task)
    model = load_model(folder / file)
    golden = np.load(io.BytesIO((folder / "golden.npz").read_bytes()))
    picture_a, picture_b = (
        read_picture(folder / name / f"{stem}.png").astype(np.float32) / 255
        for name in (folder_a, folder_b)
    )
    raw = []

    def noted(a, b):
        raw.append(model.fuse(a, b))
        return raw[0]

    picture = fuse_pictures(hand_model(noted), picture_a, picture_b)
    assert jnp.abs(raw[0][..., 0] - golden[f"{stem}.raw"]).max() < 1e-5
    assert np.abs(255 * picture - golden[f"{stem}.rgb"]).max() < 1
