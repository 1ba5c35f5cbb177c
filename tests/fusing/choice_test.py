from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.fusing.choice import choose, look_of, view_of

RNG = np.random.default_rng(3)
SCENE = RNG.integers(40, 200, (12, 12), np.uint8).repeat(16, 0).repeat(16, 1)
OTHER = RNG.integers(40, 200, (12, 12), np.uint8).repeat(16, 0).repeat(16, 1)
COLOURED = np.stack([SCENE, OTHER, SCENE], axis=-1)
SOFT = np.asarray(Image.fromarray(SCENE).resize((24, 24)).resize((192, 192)))
DARK = (255 * (SCENE / 255.0) ** 2.5).astype(np.uint8)
ON_BLACK = np.pad(SCENE[32:-32, 32:-32], 32)
OTHER_ON_BLACK = np.pad(OTHER[32:-32, 32:-32], 32)
COLOURED_ON_BLACK = np.stack([OTHER_ON_BLACK // k for k in (1, 2, 3)], axis=-1)


def chosen(shipped, *paths, pictures=()):
    """Name of the weights and reason, for sources of these names and pictures."""
    samples = []
    if pictures:
        samples = [[Path(shipped) / f"p{i}.png" for i in range(len(pictures))]]
        for path, picture in zip(samples[0], pictures, strict=True):
            Image.fromarray(picture).save(path)
    choice = choose([Path(path) for path in paths], samples)
    return choice and (choice.weights.name, choice.reason)


@pytest.mark.parametrize(
    ("paths", "name", "words"),
    [
        (("ir/1.png", "vi/1.png"), "heat", "ir and vi"),
        (("Infrared", "VISIBLE"), "heat", "infrared and visible"),
        (("set/IR_0012.png", "set/VI_0012.png"), "heat", "ir and vi"),
        (("sceneInfrared.png", "sceneVisible.png"), "heat", "infrared and visible"),
        (("deep/ir/a/1.png", "deep/vi/a/1.png"), "heat", "ir and vi"),
        (("pet", "mri"), "scan", "pet and mri"),
        (("near.tif", "middle.tif", "far.tif"), "depth", "near and far"),
        (("bench/under", "bench/over"), "bracket", "under and over"),
        # Near-infrared: one word of a card is less than two of another.
        (("near-infrared", "visible"), "heat", "infrared and visible"),
    ],
)
def test_two_names_choose(shipped, paths, name, words):
    assert chosen(shipped, *paths) == (name, f"because of the names {words}")
    # Whatever they look like.
    looks = chosen(shipped, *paths, pictures=(ON_BLACK, OTHER_ON_BLACK))
    assert looks == (name, f"because of the names {words}")


def test_sources_in_the_other_order_are_remarked(shipped):
    assert chosen(shipped, "vi.png", "ir.png") == (
        "heat",
        "because of the names vi and ir (they were trained with infrared first)",
    )


@pytest.mark.parametrize(
    ("paths", "pictures", "is_reversed"),
    [
        (("ir", "vi"), (), False),
        (("vi", "ir"), (), True),
        (("1", "2"), (SCENE, COLOURED), False),
        (("1", "2"), (COLOURED, SCENE), True),  # the camera first
        (("1", "2"), (SCENE, OTHER), False),  # nothing tells
        (("1", "2"), (COLOURED_ON_BLACK, ON_BLACK), False),
        (("1", "2"), (ON_BLACK, COLOURED_ON_BLACK), True),  # the palette second
        (("1", "2"), (DARK, SCENE), False),
        (("1", "2"), (SCENE, DARK), True),
        (("1", "2"), (SOFT, SCENE), False),
    ],
)
def test_the_order_is_told(shipped, paths, pictures, is_reversed):
    samples = []
    if pictures:
        samples = [[Path(shipped) / f"p{i}.png" for i in range(len(pictures))]]
        for path, picture in zip(samples[0], pictures, strict=True):
            Image.fromarray(picture).save(path)
    assert choose([Path(x) for x in paths], samples).is_reversed == is_reversed


@pytest.mark.parametrize(
    ("pictures", "name"),
    [
        ((SCENE, OTHER), "heat"),
        ((SCENE, COLOURED), "heat"),  # alike, but colour in one only
        ((ON_BLACK, OTHER_ON_BLACK), "scan"),
        ((SCENE, SOFT), "depth"),
        ((SOFT, SCENE, SOFT), "depth"),
        ((ON_BLACK, ON_BLACK), "depth"),  # black around one and the same thing
        ((DARK, SCENE), "bracket"),
        ((DARK, SCENE, 255 - (255 - SCENE) // 2), "bracket"),
    ],
)
def test_looks_choose_where_names_tell_nothing(shipped, pictures, name):
    paths = [f"{i}.png" for i in range(len(pictures))]
    weights, reason = chosen(shipped, *paths, pictures=pictures)
    assert weights == name
    assert reason.startswith("because of the sources' contents: they ")


@pytest.mark.parametrize(
    ("paths", "pictures"),
    [
        (("1.png", "2.png"), ()),
        (("1.png", "2.png"), (COLOURED, COLOURED[::-1])),  # two other scenes
        (("1.png", "2.png"), (SCENE, (0.75 * SCENE).astype(np.uint8))),
        (("ir/far.png", "vi/near.png"), ()),  # of two cards
        (("1.png", "2.png"), (SCENE, SCENE // 2 + OTHER // 2)),
    ],
    ids=range(5),
)
def test_what_is_not_clear_is_not_chosen(shipped, paths, pictures):
    assert chosen(shipped, *paths, pictures=pictures) is None


def test_looks_decide_between_names_of_two_cards(shipped):
    paths = ("ir/far.png", "vi/near.png")
    assert chosen(shipped, *paths, pictures=(SCENE, OTHER))[0] == "heat"
    assert chosen(shipped, *paths, pictures=(SCENE, SOFT))[0] == "depth"


def test_one_name_chooses_where_looks_tell_nothing(shipped):
    expected = ("heat", "because of the name vi")
    assert chosen(shipped, "cam.mp4", "vi.mp4") == expected
    expected = ("bracket", "because of the name ev")
    assert chosen(shipped, "ev-2.png", "ev+2.png") == expected
    # A word that both names share tells no source.
    assert chosen(shipped, "vi/1.png", "vi/2.png") is None
    assert chosen(shipped, "ir/1.png", "ir/2.png") is None
    # Looks tell more.
    assert chosen(shipped, "a.png", "vi.png", pictures=(SCENE, SOFT))[0] == "depth"


def test_scenes_that_look_differently_are_not_clear(shipped):
    between = SCENE // 2 + OTHER // 2
    pictures = {"a": SCENE, "b": SOFT, "c": OTHER, "d": between}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(shipped / f"{name}.png")
    a, b, c, d = (shipped / f"{x}.png" for x in pictures)
    sources = [Path("1"), Path("2")]
    assert choose(sources, [(a, b), (a, b)]).weights.name == "depth"
    assert choose(sources, [(a, b), (a, c)]) is None
    # What one scene leaves open, another decides.
    assert choose(sources, [(a, d), (a, b)]).weights.name == "depth"


def test_a_look_is_the_same_for_sizes_and_orders():
    large = np.repeat(np.repeat(SOFT, 2, 0), 2, 1)
    for pair in ((SCENE, large), (large, SCENE)):
        assert look_of([view_of(x) for x in pair]) == "sharpness"
    for pair in ((DARK, SCENE), (SCENE, DARK)):
        assert look_of([view_of(x) for x in pair]) == "brightness"


@pytest.mark.parametrize(
    ("parts", "look"),
    [
        (("ivif", "roadscene", "test", "infrared", "visible"), "sensors"),
        (("mif", "harvard_pet", "test", "pet", "mri"), "black surround"),
        (("mfif", "lytro", "test", "near", "far"), "sharpness"),
        (("meif", "mefb", "test", "under", "over"), "brightness"),
    ],
)
def test_real_pairs_have_their_look(shared, parts, look):
    *folder, a, b = parts
    folders = [shared("data", *folder, x) for x in (a, b)]
    pairs = [sorted(x.iterdir())[:5] for x in folders]
    for pair in zip(*pairs, strict=True):
        pictures = [np.asarray(Image.open(path)) for path in pair]
        assert look_of([view_of(x) for x in pictures]) == look
