import pickle
import struct
import zipfile

import numpy as np
import pytest

from refusion_jax.weights import pth
from refusion_jax.weights.pth import read_pth

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


# Reading


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
    with pytest.raises(ValueError, match="something other than a table of tensors"):
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
    ],
    ids=["GLOBAL", "STACK_GLOBAL"],
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
        (b"\x80\x02(icollections\nOrderedDict\n.", "instruction INST"),
        (b"\x80\x02]" + push("x") + b"a.", "instruction EMPTY_LIST"),
        (b"\x80\x02" + TABLE + b")\x81.", "instruction NEWOBJ"),
        (b"\x80\x02C\x01x.", "instruction SHORT_BINBYTES"),
        (table(x=tensor()[:-1] + b"R}b"), "instruction BUILD"),
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
        b"\x80\x02u.",
        b"\x80\x02}" + push("x") + b"u.",
        b"\x80\x02}(" + push("x") + b"u.",
        b"\x80\x02}N" + tensor() + b"s.",
        b"\x80\x02}" + push("x") + b"}sb.",
        b"\x80\x02" + push("x") + tensor() + b"s.",
        b"\x80\x02q\x00.",
        name("collections", "OrderedDict") + name("torch", "FloatStorage") + b"R.",
        name("torch", "FloatStorage") + b")R.",
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
    monkeypatch.setattr(pth, "MAX_PTH_BYTES", 100)
    refused("more than 100 bytes")


def test_a_tensor_is_no_storage(tmp_path):
    """Else a stretched view of the last number would be read beyond the file's end."""
    arguments = (tensor(offset=5, shape=(6,), steps=(0,)), 0, (6,), (1,), False, TABLE)
    view = name("torch._utils", "_rebuild_tensor_v2") + push(arguments) + b"R"
    assert read_pth(
        write_pth(tmp_path / "a.pth", table(x=tensor(shape=(6,), steps=(1,))))
    )
    with pytest.raises(ValueError, match="a tensor with an impossible shape"):
        read_pth(write_pth(tmp_path / "b.pth", table(x=view)))


@pytest.mark.parametrize("wrap", [b"\x86", b"\x85"], ids=["pairs", "nested"])
def test_nested_tuples_are_neither_keys_nor_names(tmp_path, wrap):
    """Hashing or printing them would take 2^100000 steps or overflow the stack."""
    again = b"q\x00h\x00" if wrap == b"\x86" else b""
    key = b")" + (again + wrap) * 100_000
    for program in (
        b"}" + key + tensor() + b"s.",
        b"}(" + push("x") + tensor() + key + tensor() + b"u.",
        TABLE + key + tensor() + b"s.",
    ):
        with pytest.raises(ValueError, match="text as keys"):
            read_pth(write_pth(tmp_path / "x.pth", b"\x80\x02" + program))
    program = b"\x80\x04" + push("os") + key + b"\x93."
    with pytest.raises(ValueError, match="a global without a name"):
        read_pth(write_pth(tmp_path / "x.pth", program))


def test_a_far_memory_address_costs_nothing(tmp_path):
    program = b"\x80\x02}" + b"r\xff\xff\xff\x7f" + push("x") + tensor() + b"s."
    assert list(read_pth(write_pth(tmp_path / "x.pth", program))) == ["x"]


def test_programs_and_tensors_are_bounded(tmp_path, monkeypatch):
    path = write_pth(tmp_path / "x.pth", table(x=tensor(), y=tensor()))
    assert list(read_pth(path)) == ["x", "y"]
    monkeypatch.setattr(pth, "MAX_PROGRAM_BYTES", 100)
    with pytest.raises(ValueError, match="a table of more than 100 bytes"):
        read_pth(path)
    monkeypatch.undo()
    # Many keys may name one tensor: a copy of each would fill the memory.
    again = b"".join(push(f"y{i}") + b"h\x00" for i in range(200))
    program = b"\x80\x02}(" + push("x") + tensor() + b"q\x00" + again + b"u."
    path = write_pth(tmp_path / "y.pth", program)
    assert len(read_pth(path)) == 201
    monkeypatch.setattr(pth, "MAX_PTH_BYTES", 201 * NUMBERS.nbytes - 1)
    with pytest.raises(ValueError, match="tensors of more than 4823 bytes"):
        read_pth(path)
