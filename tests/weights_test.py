import io
import pickle
import struct
import zipfile
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from refusion_jax import inference, nets, weights
from refusion_jax.data.pictures import read_picture
from refusion_jax.weights import (
    convert_authors,
    load_fusion_params,
    load_weights,
    read_pth,
    save_weights,
)

AUTHORS_FILES = [("ivif", "ReFusion_IVIF.pth"), ("mif", "ReFusion_MIF.pth")]


# A writer of `.pth` files, instruction by instruction


def push(value):
    """Pickle instructions that put a value on the stack."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    assert isinstance(value, tuple)
    return b"(" + b"".join(map(push, value)) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


TABLE = name("collections", "OrderedDict") + b")R"


def tensor(
    key="0", *, kind="FloatStorage", count=6, offset=0, shape=(2, 3), steps=None
):
    steps = (3, 1) if steps is None else steps
    reference = ("storage", name("torch", kind), key, "cuda:0", count)
    arguments = (push(reference) + b"Q", offset, shape, steps, False, TABLE)
    return name("torch._utils", "_rebuild_tensor_v2") + push(arguments) + b"R"


def table(**tensors):
    items = b"".join(push(key) + value for key, value in tensors.items())
    return b"\x80\x02" + TABLE + b"(" + items + b"u."


NUMBERS = np.arange(6, dtype=np.float32)


def write_pth(path, program, *, storages=None, entries=None, compression=0):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("any/data.pkl", program)
        for key, array in (storages or {"0": NUMBERS}).items():
            archive.writestr(f"any/data/{key}", array.tobytes())
        for entry, content in (entries or {}).items():
            archive.writestr(entry, content)
    return path


# Reading .pth


def test_tensors_are_read_by_shape_offset_and_stride(tmp_path):
    program = table(
        whole=tensor(),
        transposed=tensor(shape=(3, 2), steps=(1, 3)),
        tail=tensor(offset=4, shape=(2,), steps=(1,)),
        scalar=tensor(offset=5, shape=(), steps=()),
    )
    read = read_pth(write_pth(tmp_path / "x.pth", program))
    np.testing.assert_array_equal(read["whole"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(read["tail"], [4, 5])
    np.testing.assert_array_equal(read["scalar"], 5)
    assert list(read) == ["whole", "transposed", "tail", "scalar"]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("DoubleStorage", "f8"),
        ("FloatStorage", "f4"),
        ("HalfStorage", "f2"),
        ("LongStorage", "i8"),
        ("IntStorage", "i4"),
    ],
)
def test_number_types_are_kept(tmp_path, kind, dtype):
    storages = {"0": NUMBERS.astype(dtype)}
    path = write_pth(tmp_path / "x.pth", table(x=tensor(kind=kind)), storages=storages)
    assert read_pth(path)["x"].dtype == dtype
    np.testing.assert_array_equal(read_pth(path)["x"].ravel(), NUMBERS)


def test_a_plain_dictionary_is_a_table_too(tmp_path):
    program = b"\x80\x02}" + push("x") + tensor() + b"s."
    read = read_pth(write_pth(tmp_path / "x.pth", program))
    np.testing.assert_array_equal(read["x"].ravel(), NUMBERS)


@pytest.mark.parametrize(
    "program", [push("text") + b".", push(()) + b".", tensor() + b"."]
)
def test_what_is_no_table_is_called_so(tmp_path, program):
    with pytest.raises(ValueError, match="something else than a table of tensors"):
        read_pth(write_pth(tmp_path / "x.pth", b"\x80\x02" + program))


def test_the_tables_attributes_are_dropped(tmp_path):
    metadata = b"}" + push("_metadata") + TABLE + push("") + b"}" + push("version")
    program = table(x=tensor())[:-1] + metadata + push(1) + b"sssb."
    assert list(read_pth(write_pth(tmp_path / "x.pth", program))) == ["x"]


class Attack:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"weight": x}])
@pytest.mark.parametrize(
    ("function", "forbidden"), [("system", "system"), ("eval", "eval")]
)
def test_a_pickle_that_would_run_code_is_refused_before_it_runs(
    tmp_path, protocol, wrap, function, forbidden
):
    import os

    witness = tmp_path / "witness"
    attack = {
        "system": Attack(os.system, f"touch {witness}"),
        "eval": Attack(eval, f"__import__('pathlib').Path({str(witness)!r}).touch()"),
    }[function]
    program = pickle.dumps(wrap(attack), protocol)
    # The attack is real: the ordinary reader would run it.
    pickle.loads(program)
    assert witness.exists()
    witness.unlink()
    path = write_pth(tmp_path / "evil.pth", program)
    with pytest.raises(ValueError, match=f"forbidden global '.*{forbidden}'"):
        read_pth(path)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("os", "system"),
        ("numpy", "load"),
        ("collections", "OrderedDict.__init__"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("collections", "namedtuple"),
        ("torch", "FloatStorage.__init__"),
        ("torch", "load"),
        ("torch", "Float"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils", "_rebuild_parameter"),
    ],
)
@pytest.mark.parametrize(
    "instruction",
    [
        lambda module, attribute: name(module, attribute),
        lambda module, attribute: push(module) + push(attribute) + b"\x93",
        lambda module, attribute: b"(i" + name(module, attribute)[1:],
    ],
    ids=["GLOBAL", "STACK_GLOBAL", "INST"],
)
def test_a_forbidden_global_is_named(tmp_path, instruction, module, attribute):
    path = write_pth(
        tmp_path / "x.pth", b"\x80\x04" + instruction(module, attribute) + b"."
    )
    with pytest.raises(ValueError, match="forbidden global") as error:
        read_pth(path)
    assert repr(f"{module}.{attribute}") in str(error.value)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x02(" + name("collections", "OrderedDict") + b"o.", "instruction OBJ"),
        (b"\x80\x02" + TABLE + b")\x81.", "instruction NEWOBJ"),
        (b"\x80\x02C\x01x.", "instruction SHORT_BINBYTES"),
        (table(x=tensor()[:-1] + b"R}b"), "instruction BUILD"),
        (b"\x80\x02" + TABLE + b"r\xff\xff\xff\x7f.", "memory address"),
    ],
)
def test_other_instructions_are_refused(tmp_path, program, message):
    with pytest.raises(ValueError, match=f"{message}.* in .*x.pth; use"):
        read_pth(write_pth(tmp_path / "x.pth", program))


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 1},
        {"offset": -1},
        {"offset": True, "shape": (2,), "steps": (1,)},
        {"shape": (3, 3)},
        {"shape": (2, 4)},
        {"shape": (2, -3)},
        {"shape": (0, 3)},
        {"shape": (2**30, 2**30, 2**30), "steps": (0, 0, 0)},
        {"shape": (7,), "steps": (0,)},
        {"shape": (2,)},
        {"shape": (1,) * 9, "steps": (1,) * 9},
        {"shape": "ab"},
        {"steps": (4, 1)},
        {"steps": (-3, 1)},
        {"steps": (2**31 - 1, 1)},
        {"count": 5},
        {"count": 7},
        {"count": -6},
        {"key": "1"},
        {"key": "../data.pkl"},
        {"kind": "DoubleStorage"},
    ],
    ids=repr,
)
def test_tensors_and_storages_must_fit_each_other(tmp_path, wrong):
    path = write_pth(tmp_path / "x.pth", table(x=tensor(**wrong)))
    with pytest.raises(ValueError, match=r"a tensor|storage .* in .*x\.pth"):
        read_pth(path)


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02" + push("text") + b".",
        tensor() + b".",
        table(x=push("text")),
        table(x=tensor())[:-20],
        b"\x80\x02" + TABLE + push(1) + tensor() + b"s.",
        b"\x80\x02" + push(("storage", "text")) + b"Q.",
        b"\x80\x02" + push("text") + b"Q.",
        b"\x80\x02" + push("text") + b")R.",
        b"\x80\x02" + name("collections", "OrderedDict") + push(("x",)) + b"R.",
        b"\x80\x02" + name("torch._utils", "_rebuild_tensor_v2") + b")R.",
        b"\x80\x02h\x05.",
        b"\x80\x02t.",
        b"\x80\x02(((((u.",
    ],
    ids=repr,
)
def test_senseless_programs_give_one_sentence(tmp_path, program):
    with pytest.raises(
        ValueError, match=r"plain tensors, got .+ in .*x\.pth; "
    ) as error:
        read_pth(write_pth(tmp_path / "x.pth", program))
    assert "\n" not in str(error.value)


def test_archives_of_another_kind_are_refused(tmp_path, monkeypatch):
    good = table(x=tensor())

    def refused(message, content=None, **options):
        path = tmp_path / "x.pth"
        if content is None:
            write_pth(path, good, **options)
        else:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_pth(path)

    refused("no zip archive", b"")
    refused("no zip archive", b"text")
    old = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + pickle.dumps({})
    refused("before 1.6 wrote another format", old)
    whole = write_pth(tmp_path / "whole.pth", good).read_bytes()
    refused("no zip archive", whole[:-30])
    refused("CRC", whole.replace(NUMBERS.tobytes(), NUMBERS[::-1].tobytes()))
    refused("compressed", compression=zipfile.ZIP_DEFLATED)
    refused("2 entries named data.pkl", entries={"other/data.pkl": b""})
    refused("big-endian", entries={"any/byteorder": "big"})
    monkeypatch.setattr(weights, "MAX_PTH_BYTES", 100)
    refused("more than 100 bytes")


def test_a_missing_file_is_named(tmp_path):
    for read in (read_pth, load_weights, load_fusion_params):
        with pytest.raises(FileNotFoundError, match=r"weights at .*none\.(pth|safe)"):
            read(tmp_path / ("none.pth" if read is read_pth else "none.safetensors"))


# The authors' names


@cache
def fresh(interaction=True, gating=True, width=16, blocks=2):
    """Trees of the right shapes with any numbers: `init_params` compiles for long."""
    init = partial(
        nets.init_params,
        interaction=interaction,
        gating=gating,
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
    assert_same_trees(load_fusion_params(path), fresh().fusion)


@pytest.mark.parametrize(
    "variant",
    [
        {"interaction": False},
        {"gating": False},
        {"interaction": False, "gating": False},
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
        load_fusion_params(path)


def test_a_run_folder_is_read_by_its_export(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"weights\.safetensors, got none; .*run"
    ):
        load_fusion_params(tmp_path)
    save_weights(tmp_path / "weights.safetensors", {"fusion": fresh().fusion})
    assert_same_trees(load_fusion_params(str(tmp_path)), fresh().fusion)


def test_other_endings_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a \.pth file or a run folder, got .*\.npz"):
        load_fusion_params(path)
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

    monkeypatch.setattr(weights.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(path, {"fusion": fresh().fusion}, {"version": "new"})
    assert list(tmp_path.iterdir()) == [path]
    assert load_weights(path).metadata == {"version": "old"}


# Parity with the authors' network


@pytest.mark.parametrize(("task", "file"), AUTHORS_FILES)
def test_the_released_files_hold_140_tensors_of_finite_weights(shared, task, file):
    state_dict = read_pth(shared("official", task, file))
    assert len(state_dict) == 140
    params = load_fusion_params(shared("official", task, file))
    assert sum(x.size for x in jax.tree.leaves(params)) == 59_856


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
    shared, monkeypatch, task, file, folder_a, folder_b, stem
):
    """Recorded: the network's output before the stretch, and the picture in 0..255."""
    folder = shared("official", task)
    params = load_fusion_params(folder / file)
    golden = np.load(io.BytesIO((folder / "golden.npz").read_bytes()))
    picture_a, picture_b = (
        read_picture(folder / name / f"{stem}.png").astype(np.float32) / 255
        for name in (folder_a, folder_b)
    )
    raw = []
    monkeypatch.setattr(
        inference,
        "fuse_luminance",
        lambda *args, run=inference.fuse_luminance: raw.append(run(*args)) or raw[0],
    )
    picture = inference.fuse_pictures(params, picture_a, picture_b)
    assert jnp.abs(raw[0][..., 0] - golden[f"{stem}.raw"]).max() < 1e-5
    assert np.abs(255 * picture - golden[f"{stem}.rgb"]).max() < 1
