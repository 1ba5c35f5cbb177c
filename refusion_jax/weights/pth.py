"""Reads PyTorch's `.pth` files without PyTorch and without Python's unpickler.

A `.pth` file is a zip archive of one pickle, which is a program, and one entry of raw
numbers per storage. This module has its own interpreter for the program. It knows only
the few instructions and names that a table of tensors needs and rejects all others, so
the program cannot reach anything outside this file.
"""

import math
import os
import pickletools
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAX_PTH_BYTES = 1 << 24  # the authors' files take 0.3 MB
MAX_PROGRAM_BYTES = 1 << 20  # the authors' programs take 20 kB


class _Storage(NamedTuple):
    """An entry of raw numbers.

    A type of its own, because a storage must not pass for a tensor, which is a view of
    one.
    """

    numbers: np.ndarray


ReadStorage = Callable[[str, np.dtype, int], _Storage]


def read_pth(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict.

    Args:
      path: a `.pth` file of PyTorch 1.6 or later that holds one flat table of tensors.

    Returns:
      Tensors by key, in the order and with the number types of the file; read-only.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is broken, too large, or holds anything but tensors.
    """
    path = existing_file(path)
    # Errors raised within name only what was got; the handler below adds the rest.
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no zip archive (PyTorch before 1.6 wrote another format)")
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except Exception as error:  # broken and hostile files fail in many ways
        raise ValueError(
            f"expected a .pth file of plain tensors, got {error or 'a broken one'} in "
            f"{path}; use the authors' file, or save the state dict with a newer "
            "PyTorch."
        ) from error


def is_pth(path: Path) -> bool:
    """Returns whether a file is of PyTorch's kind by its content, whatever its name.

    Args:
      path: of any file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Checks that a weight file exists and returns its path.

    Args:
      path: a weight file of any kind.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"expected weights at {path}, got none; name a weight file, or a run that "
            "has saved weights."
        )
    return Path(path)


def _read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    # PyTorch does not compress. Without compression the size of the file bounds the
    # amount of data that is read.
    if any(entry.compress_type or entry.flag_bits & 1 for entry in entries.values()):
        raise ValueError("compressed or encrypted entries")
    if sum(entry.file_size for entry in archive.infolist()) > MAX_PTH_BYTES:
        raise ValueError(f"entries of more than {MAX_PTH_BYTES} bytes")
    programs = [name for name in entries if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise ValueError(f"{len(programs)} entries named data.pkl instead of one")
    if entries[programs[0]].file_size > MAX_PROGRAM_BYTES:
        raise ValueError(f"a table of more than {MAX_PROGRAM_BYTES} bytes")
    folder = programs[0].removesuffix("data.pkl")
    byteorder = entries.get(f"{folder}byteorder")
    if byteorder and archive.read(byteorder) != b"little":
        raise ValueError("big-endian numbers")

    @cache
    def read_storage(key: str, dtype: np.dtype, count: int) -> _Storage:
        entry = entries.get(f"{folder}data/{key}")
        if entry is None or entry.file_size != count * dtype.itemsize:
            raise ValueError(f"a missing or misshapen storage {key[:80]!r}")
        return _Storage(np.frombuffer(archive.read(entry), dtype))

    table = _run(archive.read(programs[0]), read_storage)
    if not isinstance(table, dict) or not all(
        isinstance(tensor, np.ndarray) for tensor in table.values()
    ):
        raise ValueError("something other than a table of tensors")
    # Checked again, because many tensors may be views of one storage and the caller
    # must be able to afford a copy of each.
    if sum(tensor.nbytes for tensor in table.values()) > MAX_PTH_BYTES:
        raise ValueError(f"tensors of more than {MAX_PTH_BYTES} bytes")
    return table


def _run(program: bytes, read_storage: ReadStorage) -> Any:
    """Runs a pickle and returns the value that it leaves on its stack.

    Values are tuples, constants, integers, text, `_GLOBALS`, storages, tensors, and
    dictionaries. Keys of dictionaries must be text, because hashing nested tuples could
    take exponential time.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def pop(count: int) -> tuple[Any, ...]:
        if len(stack) < count:
            raise ValueError("an instruction without its operands")
        start = len(stack) - count
        values = tuple(stack[start:])
        del stack[start:]
        return values

    for opcode, argument, _ in pickletools.genops(program):
        match opcode.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                marks.append(len(stack))
            case "BININT" | "BININT1" | "BININT2" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(_CONSTANTS[opcode.name])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(pop(_TUPLE_SIZES[opcode.name]))
            case "TUPLE":
                stack.append(pop(len(stack) - marks.pop()))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_global(*str(argument).split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_global(*pop(2)))
            case "BINPERSID":
                stack.append(_storage(pop(1)[0], read_storage))
            case "REDUCE":
                stack.append(_call(*pop(2)))
            case "SETITEM":
                _set_items(pop(2), stack[-1])
            case "SETITEMS":
                _set_items(pop(len(stack) - marks.pop()), stack[-1])
            # The state of a table, in which PyTorch notes its modules' versions. It is
            # dropped.
            case "BUILD" if len(stack) > 1 and type(stack[-2]) is dict:
                pop(1)
            case name:
                raise ValueError(f"the forbidden pickle instruction {name}")
    return pop(1)[0]


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _set_items(items: tuple[Any, ...], table: Any) -> None:
    keys, values = items[::2], items[1::2]
    if type(table) is not dict or any(type(key) is not str for key in keys):
        raise ValueError("something other than a table with text as keys")
    table.update(zip(keys, values, strict=True))


def _global(module: Any, attribute: Any) -> Any:
    if type(module) is not str or type(attribute) is not str:
        raise ValueError("a global without a name")
    name = f"{module}.{attribute}"
    if name not in _GLOBALS:
        raise ValueError(f"the forbidden global {name[:80]!r}")
    return _GLOBALS[name]


def _call(function: Any, arguments: Any) -> Any:
    if type(arguments) is tuple:
        if function is dict and not arguments:
            return {}
        if function is _tensor and len(arguments) >= 4:
            return _tensor(*arguments[:4])
    raise ValueError("a call that does not make a tensor")


def _storage(reference: Any, read_storage: ReadStorage) -> _Storage:
    match reference:
        case ("storage", np.dtype() as dtype, str(key), str(), int(count)):
            return read_storage(key, dtype, count)
    raise ValueError("a persistent id that names no storage")


def _tensor(storage: Any, offset: Any, shape: Any, steps: Any) -> np.ndarray:
    """Returns a view into a storage, within its ends and no larger than it."""
    is_sound = (
        (type(storage), type(shape), type(steps)) == (_Storage, tuple, tuple)
        and all(type(number) is int for number in (offset, *shape, *steps))
        and len(shape) == len(steps) <= 8
        and min((offset, *steps)) >= 0
        and min(shape, default=1) >= 1
    )
    if not is_sound or math.prod(shape) > storage.numbers.size:
        raise ValueError("a tensor with an impossible shape")
    numbers = storage.numbers
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if last >= numbers.size:
        raise ValueError("a tensor that reaches beyond its storage")
    strides = [step * numbers.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides)


_GLOBALS = {
    "collections.OrderedDict": dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
}
