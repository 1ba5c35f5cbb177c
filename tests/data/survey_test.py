import json

import numpy as np

from refusion_jax.data.survey import describe, examine, find_leaks, summarise
from refusion_jax.pictures.codecs import to_luminance

GREY = np.random.default_rng(0).integers(0, 256, (130, 140), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (130, 140, 3), np.uint8)
FLAT = np.full((130, 140), 9, np.uint8)


def traits_of(stem, picture_a, picture_b):
    pictures = (picture_a, picture_b)
    return examine(stem, pictures, tuple(to_luminance(x) for x in pictures))


def test_a_pair_is_looked_at():
    traits = traits_of("1", GREY, RGB)
    assert traits.size == (130, 140)
    assert traits.colour == (False, True)
    assert traits.patches == (1, 1)
    assert traits_of("1", np.dstack([GREY] * 3), FLAT).colour == (False, False)
    assert traits_of("1", GREY, FLAT).patches == (1, 0)


def test_a_split_is_summed_up_in_numbers_and_in_words():
    small = RGB[:128, :129]
    summary = summarise(
        [traits_of("1", GREY, RGB), traits_of("2", small, small)], ["x.png: broken"]
    )
    assert json.loads(json.dumps(summary)) == {
        "pairs": 2,
        "sizes": [[130, 140], [128, 129]],
        "colour": [1, 2],
        "patches": [2, 2],
        "skipped": ["x.png: broken"],
    }
    assert describe(summary) == [
        "2 pairs, 2 sizes, 129 to 140 pixels wide, 128 to 130 high",
        "a: 1 grey, 1 colour, b: 0 grey, 2 colour",
        "patches of 128 at stride 200: 2 kept of 2",
        "skipped: 1",
        "  x.png: broken",
    ]
    one = summarise([traits_of("1", GREY, RGB)], [])
    assert describe(one)[0] == "1 pairs, 140x130 pixels"


def test_splits_that_share_nothing_have_no_leaks():
    train = [traits_of("1", GREY, RGB), traits_of("2", FLAT, RGB[::-1])]
    test = [traits_of("3", GREY.T, RGB[:, ::-1]), traits_of("4", FLAT, GREY[::-1])]
    assert find_leaks({"train": train, "test": test}) == []
    assert find_leaks({"train": train}) == []


def test_a_shared_stem_is_found():
    splits = {
        "train": [traits_of("1", GREY, RGB)],
        "test": [traits_of("1", GREY.T, RGB[::-1])],
    }
    assert find_leaks(splits) == ["the same stem 1 is in train (1) and test (1)"]


def test_a_shared_picture_is_found_whatever_its_file_and_its_side():
    splits = {
        "train": [traits_of("1", GREY, RGB)],
        "test": [traits_of("9", RGB[::-1], np.dstack([GREY] * 3))],
    }
    assert find_leaks(splits) == ["the same picture is in train (1) and test (9)"]


def test_a_shared_scene_is_found_by_its_pattern():
    names = {"train": ("s1_a", "s1_b", "s1_c", "s2"), "test": ("s1_d", "s3", "other")}
    pictures = iter(np.random.default_rng(2).integers(0, 256, (14, 8, 8), np.uint8))
    splits = {
        split: [traits_of(stem, next(pictures), next(pictures)) for stem in stems]
        for split, stems in names.items()
    }
    assert find_leaks(splits) == []
    assert find_leaks(splits, r"^(s\d)") == [
        "the same scene s1 is in train (s1_a, s1_b and 1 more) and test (s1_d)"
    ]
