from pathlib import Path

import pytest

from refusion_jax.files.pairing import matched


def table(*stems):
    return {stem: Path(f"{stem}.png") for stem in stems}


def pairs(*tables, rule="name"):
    """The stems that belong together, and the remark."""
    found, remark, _ = matched(tables, rule)
    names = [dict.fromkeys(each) for each in found]
    assert all(set(each) == set(names[0]) for each in names)
    return {tuple(x[name].stem for x in found) for name in found[0]}, remark


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        (["ir_001", "ir_002"], ["vi_001", "vi_002"], "by ir_ and vi_"),
        (["001_A", "002_A"], ["001_B", "002_B"], "by _A and _B"),
        (["001_1", "002_1"], ["001_2", "002_2"], "by _1 and _2"),
        (["I1_lwir", "I2_lwir"], ["I1_visible", "I2_visible"], "by I..._lwir and"),
        (["IMG_1", "IMG_2"], ["img_1", "img_2"], "in case"),
        (["1", "2", "10"], ["0001", "0002", "0010"], "in leading zeros"),
        (["1", "10", "2"], ["001_x", "010_x", "002_x"], "by _x"),
        (["a_ir_7"], ["a_vi_7"], "by a_ir_ and a_vi_"),
        (["tank-ir", "street-ir"], ["tank-vis", "street-vis"], "by -ir and -vis"),
    ],
)
def test_names_that_differ_in_one_way_are_paired_and_it_is_said(first, second, differ):
    together, remark = pairs(table(*first), table(*second))
    assert together == set(zip(first, second, strict=True))
    assert differ in remark


def test_equal_names_are_paired_without_a_word():
    assert pairs(table("b", "a"), table("a", "b")) == ({("a", "a"), ("b", "b")}, None)


def test_three_folders_are_paired_alike():
    names = [[f"{kind}{i}" for i in (1, 2)] for kind in ("near", "middle", "far")]
    together, _ = pairs(*(table(*each) for each in names))
    assert together == set(zip(*names, strict=True))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["1", "2", "3"], ["1", "2", "4"]),  # some are equal: these are no affixes
        (["ir_1", "ir_2"], ["vi_1", "vi_3"]),  # a partner is missing
        (["a1", "A1"], ["a1", "b1"]),  # two names of one key
        (["dog", "cat"], ["tree", "house"]),
        (["a"], ["b"]),  # nothing says that they belong together
    ],
)
def test_names_that_pair_in_no_single_way_stay_as_they_are(first, second):
    found, remark, _ = matched([table(*first), table(*second)])
    assert [list(each) for each in found] == [first, second]
    assert remark is None


def test_the_hint_names_an_option_that_works():
    first, second = table("ir_1", "ir_2"), table("vi_1", "vi_2", "vi_3")
    _, _, hint = matched([first, second])
    assert "--pair='ir_{},vi_{}'" in hint
    found = matched([first, second], "ir_{},vi_{}").tables
    assert [list(each) for each in found] == [["1", "2"], ["1", "2", "3"]]


def test_order_is_natural():
    first, second = table("x2", "x10"), table("b", "a")
    together, remark = pairs(first, second, rule="order")
    assert together == {("x2", "a"), ("x10", "b")}
    assert "first x2 and a" in remark


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("order", "got 1 and 2"),
        ("{}_ir", "one {} for each of 2 folders"),
        ("{}_ir,vi", "one {} for each"),
        ("{}_ir,{}_vi", r"fit the pattern \{\}_vi, got b"),
        ("stem", "got 'stem'"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        matched([table("a_ir"), table("a_vi", "b")], rule)
