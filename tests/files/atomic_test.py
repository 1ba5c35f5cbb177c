import os

import pytest

from refusion_jax.files.atomic import remove_abandoned, replace_file, replacing


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path):
    path = tmp_path / "x"
    for content in (b"old", b"new"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    replace_file(path, b"old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_old_leftovers_are_removed(tmp_path):
    old, young = (tmp_path / f".{digit * 32}.tmp" for digit in "ab")
    others = [tmp_path / name for name in (".tmp", "x.tmp", ".hidden", "abc.png")]
    for path in (old, young, *others):
        path.write_bytes(b"x")
        if path != young:
            os.utime(path, (0, 0))
    remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == {young, *others}
