"""DICOM's elements written by hand, by the tables of PS3.5, and damaged."""

import struct
import zlib

import pytest

from refusion_jax.pictures.formats import dicom
from refusion_jax.pictures.formats.dicom import check_dicom, is_dicom
from refusion_jax.pictures.volumes import read_volume

EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"
BIG, DEFLATED = b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF


def short(tag, kind, value, length=None, order="<"):
    length = len(value) if length is None else length
    return struct.pack(order + "HH2sH", *tag, kind, length) + value


def long(tag, kind, value, length=None):
    length = len(value) if length is None else length
    return struct.pack("<HH2sHL", *tag, kind, 0, length) + value


def bare(tag, value=b"", length=None):
    return struct.pack("<HHL", *tag, len(value) if length is None else length) + value


def item(value, length=None):
    return bare((0xFFFE, 0xE000), value, length)


ITEM_END, END = bare((0xFFFE, 0xE00D)), bare((0xFFFE, 0xE0DD))
NAME = short((0x10, 0x10), b"PN", b"A^B ")
SEQUENCE, PIXELS = (0x8, 0x1140), (0x7FE0, 0x10)
FRAGMENTS = item(b"") + item(b"\xff" * 40) + END

GOOD = {
    "explicit": (EXPLICIT, NAME + long(PIXELS, b"OW", bytes(8))),
    "implicit": (IMPLICIT, bare((0x10, 0x10), b"A^B ") + bare(PIXELS, bytes(8))),
    "big": (BIG, short((0x10, 0x10), b"PN", b"A^B ", order=">")),
    "sequence": (EXPLICIT, long(SEQUENCE, b"SQ", item(NAME)) + NAME),
    "marks": (
        EXPLICIT,
        long(SEQUENCE, b"SQ", item(NAME + ITEM_END, UNDEFINED) + END, UNDEFINED) + NAME,
    ),
    "unknown": (
        EXPLICIT,
        long(SEQUENCE, b"UN", item(bare((0x10, 0x10), b"A^")) + END, UNDEFINED) + NAME,
    ),
    "fragments": (EXPLICIT, NAME + long(PIXELS, b"OB", FRAGMENTS, UNDEFINED)),
    "no syntax": (None, bare((0x10, 0x10), b"A^B ")),
}
BAD = {
    "value": (
        EXPLICIT,
        long(PIXELS, b"OW", bytes(8), 9),
        "names 9 .*7fe0,0010.* 8 are",
    ),
    "short": (
        EXPLICIT,
        short((8, 5), b"CS", b"AB", 65535),
        "names 65535 .* 2 are left",
    ),
    "implicit": (IMPLICIT, bare((8, 5), b"AB", 1 << 31), "names 2147483648 "),
    "undefined": (EXPLICIT, long((8, 5), b"UT", b"AB", UNDEFINED), "names 4294967295"),
    "inner": (
        EXPLICIT,
        long(SEQUENCE, b"SQ", item(bare((8, 5), b"", 99))),
        "names 99 ",
    ),
    "item": (EXPLICIT, long(SEQUENCE, b"SQ", item(NAME, 1 << 30)), "names 1073741824 "),
    "fragment": (
        EXPLICIT,
        long(PIXELS, b"OB", item(b"") + item(b"\xff", 77) + END, UNDEFINED),
        "names 77 ",
    ),
    "kinds missing": (EXPLICIT, bare((8, 5), b"AB"), "stores .0008,0005. otherwise"),
    "kinds present": (IMPLICIT, NAME, "stores .0010,0010. otherwise"),
    "kinds change": (EXPLICIT, NAME + bare((0x20, 5), b"AB"), "stores .0020,0005. oth"),
    "header": (EXPLICIT, NAME + long(PIXELS, b"OW", b"")[:9], "ends within the header"),
    "no stream": (DEFLATED, b"\xff\xff\xff", "cannot be inflated"),
}


def written(folder, syntax, content):
    path = folder / "a.dcm"
    meta = b"" if syntax is None else short((2, 0x10), b"UI", syntax)
    path.write_bytes(bytes(128) + b"DICM" + meta + content)
    assert is_dicom(path)
    return path


@pytest.mark.parametrize("name", GOOD)
def test_whole_files_pass(tmp_path, name):
    check_dicom(written(tmp_path, *GOOD[name]))


@pytest.mark.parametrize("name", BAD)
def test_lengths_beyond_the_file_are_one_sentence(tmp_path, name):
    syntax, content, reason = BAD[name]
    path = written(tmp_path, syntax, content)
    with pytest.raises(ValueError, match=rf"got .*a\.dcm, which {reason}") as error:
        check_dicom(path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("; copy it again from its source.")


def test_a_meta_element_beyond_the_file_is_refused(tmp_path):
    path = written(tmp_path, None, long((2, 1), b"OB", b"\0\1", UNDEFINED))
    with pytest.raises(ValueError, match=r"names 4294967295 .*\(0002,0001\).* 2 are"):
        check_dicom(path)
    path = written(tmp_path, None, bare((2, 1), b"\0\1"))
    with pytest.raises(ValueError, match=r"element \(0002,0001\) of no known kind"):
        check_dicom(path)


def test_deflated_elements_are_checked_within_bounds(tmp_path, monkeypatch):
    def deflated(content):
        return zlib.compress(content)[2:-4]

    check_dicom(written(tmp_path, DEFLATED, deflated(NAME)))
    long_one = written(tmp_path, DEFLATED, deflated(long(PIXELS, b"OW", b"", 5)))
    with pytest.raises(ValueError, match="names 5 bytes"):
        check_dicom(long_one)
    monkeypatch.setattr(dicom, "_MOST_INFLATED", 50)
    bomb = written(tmp_path, DEFLATED, deflated(bytes(100_000)))
    with pytest.raises(ValueError, match="inflates to more than 50 bytes"):
        check_dicom(bomb)


@pytest.mark.parametrize("is_series", [False, True])
def test_both_ways_to_read_check_each_file(tmp_path, is_series):
    pytest.importorskip(
        "SimpleITK", reason="SimpleITK is absent; pip install 'refusion-jax[medical]'"
    )
    (tmp_path / "0.txt").write_text("notes beside a series are not checked")
    path = written(tmp_path, EXPLICIT, long(PIXELS, b"OW", b"", 3))
    with pytest.raises(ValueError, match=r"a\.dcm, which names 3 bytes"):
        read_volume(tmp_path if is_series else path)
