"""Lengths in a DICOM file, checked before its reader reserves memory for them.

GDCM believes the length that an element names, and tries other encodings when one
fails: a wrong byte costs gigabytes. Here headers alone are read, one after another,
sequences included. pydicom passes over such lengths and leaves sequences for later.
"""

import io
import zlib
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

# Value representations whose length has 32 bits, after two bytes of padding; 16 bits.
_LONG = set(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = set(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_UNDEFINED = 0xFFFFFFFF
_SYNTAX, _PIXELS = (0x0002, 0x0010), (0x7FE0, 0x0010)
_ITEM, _ITEM_END, _SEQUENCE_END = ((0xFFFE, x) for x in (0xE000, 0xE00D, 0xE0DD))
_BIG_ENDIAN, _DEFLATED = b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"
# Syntaxes whose elements store no kind; the second is GE's own.
_IMPLICIT = (b"1.2.840.10008.1.2", b"1.2.840.113619.5.2")
_MOST_INFLATED = 1 << 28
_Order: TypeAlias = Literal["big", "little"]


def is_dicom(path: Path) -> bool:
    """Returns whether a path is a file with DICOM's mark.

    Args:
      path: anything.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def check_dicom(path: Path) -> None:
    """Raises unless all elements of a DICOM file end within it.

    Args:
      path: a file for which `is_dicom` holds.

    Raises:
      ValueError: if an element is longer than what is left of the file, or stored
        otherwise than the transfer syntax says.
    """
    with path.open("rb") as file:
        file.seek(132)
        syntax = _walk_meta(file, path)
        if syntax != _DEFLATED:
            order: _Order = "big" if syntax == _BIG_ENDIAN else "little"
            _walk(file, path, order, syntax not in _IMPLICIT if syntax else None)
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            inflated = inflater.decompress(file.read(), _MOST_INFLATED)
        except zlib.error as error:
            _refuse(path, f"cannot be inflated ({error})")
        if inflater.unconsumed_tail:
            _refuse(path, f"inflates to more than {_MOST_INFLATED} bytes")
        _walk(io.BytesIO(inflated), path, "little", True)


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ValueError(
        f"expected a whole DICOM file, got {path}, which {reason}; copy it again from "
        "its source."
    )


def _walk_meta(file: io.BufferedIOBase, path: Path) -> bytes:
    """Returns the transfer syntax; leaves the file at the first element of the data."""
    syntax, end = b"", _end_of(file)
    while (header := file.read(8))[:2] == b"\2\0":
        tag, kind, length = _header(file, header, "little", path)
        if kind is None:
            _refuse(path, f"has an element {_name(tag)} of no known kind")
        _check(file, path, tag, length, end)
        value = file.read(length)
        if tag == _SYNTAX:
            syntax = value.rstrip(b"\0 ")
    file.seek(-len(header), io.SEEK_CUR)
    return syntax


def _walk(
    file: io.BufferedIOBase, path: Path, order: _Order, explicit: bool | None
) -> None:
    """Walks over elements that store their kinds or do not; None: as the first."""
    end = _end_of(file)
    # Ends of the sequences and items around an element; None where a mark ends them.
    opened: list[int | None] = []
    are_fragments = False
    while len(header := file.read(8)) == 8:
        tag, kind, length = _header(file, header, order, path)
        if tag in (_ITEM_END, _SEQUENCE_END):
            are_fragments = False
            if opened:
                opened.pop()
            continue
        if tag != _ITEM:
            # Sequences of unknown kind may store none inside. Elsewhere the reader
            # takes kinds for lengths, or the reverse, for gigabytes and 20 seconds.
            explicit = kind is not None if explicit is None else explicit
            if not opened and explicit != (kind is not None):
                _refuse(path, f"stores {_name(tag)} otherwise than its syntax says")
        start = file.tell()
        if length == _UNDEFINED:
            if kind not in (None, b"SQ", b"UN", b"OB", b"OW"):
                _check(file, path, tag, length, end)
            are_fragments = kind in (b"OB", b"OW") or tag == _PIXELS
            opened.append(None)
            continue
        _check(file, path, tag, length, end)
        if not are_fragments and _is_open(file, tag, kind, length, order):
            opened.append(start + length)
        else:
            file.seek(start + length)
        while opened and opened[-1] is not None and opened[-1] <= file.tell():
            opened.pop()


def _is_open(
    file: io.BufferedIOBase,
    tag: tuple[int, int],
    kind: bytes | None,
    length: int,
    order: _Order,
) -> bool:
    """Returns whether the value at the file's place consists of elements itself."""
    if tag == _ITEM or kind == b"SQ":
        return True
    if kind not in (None, b"UN") or length < 8 or tag == _PIXELS:
        return False
    start = file.tell()
    inner = file.read(4)
    file.seek(start)
    return _tag(inner, order) == _ITEM


def _header(
    file: io.BufferedIOBase, header: bytes, order: _Order, path: Path
) -> tuple[tuple[int, int], bytes | None, int]:
    """Returns tag, kind (None where none is stored) and length of an element."""
    tag, kind = _tag(header, order), header[4:6]
    if tag[0] != _ITEM[0] and kind in _SHORT:
        return tag, kind, _number(header[6:], order)
    if tag[0] != _ITEM[0] and kind in _LONG:
        if len(rest := file.read(4)) < 4:
            _refuse(path, f"ends within the header of {_name(tag)}")
        return tag, kind, _number(rest, order)
    return tag, None, _number(header[4:], order)


def _check(
    file: io.BufferedIOBase, path: Path, tag: tuple[int, int], length: int, end: int
) -> None:
    left = end - file.tell()
    if length > left:
        _refuse(
            path,
            f"names {length} bytes for its element {_name(tag)} where {left} are left",
        )


def _end_of(file: io.BufferedIOBase) -> int:
    place = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(place)
    return end


def _number(content: bytes, order: _Order) -> int:
    return int.from_bytes(content, order)


def _tag(header: bytes, order: _Order) -> tuple[int, int]:
    return _number(header[:2], order), _number(header[2:4], order)


def _name(tag: tuple[int, int]) -> str:
    return f"({tag[0]:04x},{tag[1]:04x})"
