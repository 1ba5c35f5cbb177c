from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.data import device_batches
from refusion_jax.data.crops import VALIDATION, epoch_order
from refusion_jax.data.device_batches import draw_batch, pack
from refusion_jax.data.sources import JoinedPairs

CROP = 4
FUSION = 3
SIZES = [(8, 9), (6, 7), (4, 20), (7, 6)]
KEY = jax.random.key(0)


def make_pairs():
    """No two pixels of source a are equal, so a crop tells where it comes from."""
    starts = np.cumsum([0] + [h * w for h, w in SIZES])
    assert starts[-1] <= 256
    for start, (height, width) in zip(starts, SIZES, strict=False):
        numbers = np.arange(start, start + height * width).reshape(height, width)
        yield numbers.astype(np.uint8), (255 - numbers).astype(np.uint8)


PAIRS = list(make_pairs())
SET = pack(PAIRS)


def draw(key=KEY, *, stream=FUSION, epoch=0, step=0, order=None, **options):
    order = jnp.arange(len(PAIRS)) if order is None else order
    options = {"count": 4, "crop_size": CROP} | options
    return draw_batch(
        SET, key, stream=stream, epoch=epoch, step=step, order=order, **options
    )


def to_bytes(images):
    return np.rint(np.asarray(images)[..., 0] * 255).astype(np.uint8)


def symmetries(window):
    for turned in (window, window.T):
        for rows in (turned, turned[::-1]):
            yield from (rows, rows[:, ::-1])


def locate(crop):
    """(pair, top, left, which symmetry) of a crop of source a."""
    for pair, (picture, _) in enumerate(PAIRS):
        if crop.min() in picture:
            top, left = np.argwhere(picture == crop.min())[0]
            window = picture[top : top + CROP, left : left + CROP]
            which = [np.array_equal(crop, turned) for turned in symmetries(window)]
            assert sum(which) == 1, "not a window of the picture in any symmetry"
            return pair, int(top), int(left), which.index(True)
    raise AssertionError("pixels of no picture")


@pytest.fixture(scope="module")
def many():
    """Places of 4096 crops, 1024 of each pair."""
    batch = jax.jit(partial(draw, count=4096))()
    return np.array([locate(crop) for crop in to_bytes(batch.source_a)]), batch


def test_crops_are_windows_of_their_pictures_in_order(many):
    places, _ = many
    np.testing.assert_array_equal(places[:, 0], np.arange(4096) % len(PAIRS))


def test_both_sources_are_cut_and_turned_alike(many):
    _, batch = many
    a, b = to_bytes(batch.source_a), to_bytes(batch.source_b)
    np.testing.assert_array_equal(b, 255 - a)
    assert batch.third is None


def test_all_places_up_to_the_last_row_and_column_are_equally_likely(many):
    places, _ = many
    for pair, (height, width) in enumerate(SIZES):
        rows, columns = height - CROP + 1, width - CROP + 1
        counts = np.zeros((rows, columns))
        for _, top, left, _ in places[places[:, 0] == pair]:
            counts[top, left] += 1
        expected = counts.sum() / counts.size
        chi_square = ((counts - expected) ** 2 / expected).sum()
        freedom = counts.size - 1
        # Five standard deviations of the chi-square distribution.
        assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_all_eight_symmetries_are_equally_likely(many):
    places, _ = many
    counts = np.bincount(places[:, 3], minlength=8)
    assert ((counts - 512) ** 2 / 512).sum() < 7 + 5 * np.sqrt(14)


def test_without_augmentation_nothing_is_turned():
    batch = jax.jit(partial(draw, count=64, augment=False))()
    crops = to_bytes(batch.source_a)
    assert {locate(crop)[3] for crop in crops} == {0}


def test_bytes_become_the_nearest_floats(many):
    """To the last bit but one: XLA multiplies by the rounded 1/255."""
    images = np.concatenate([many[1].source_a, many[1].source_b])
    assert images.dtype == np.float32
    pixels = np.rint(images * 255)
    assert set(pixels.ravel()) == set(range(256))
    np.testing.assert_allclose(images, pixels / 255, rtol=2**-23)
    assert (images.min(), images.max()) == (0, 1)


def equal(one, other):
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


def test_the_same_call_gives_the_same_batch_and_any_other_another():
    batch = draw()
    assert equal(batch, draw())
    others = (
        draw(jax.random.key(1)),
        draw(epoch=1),
        draw(step=1),
        *(draw(stream=s) for s in (1, 2, VALIDATION)),
    )
    assert not any(equal(batch, other) for other in others)


def test_steps_go_through_the_order_and_begin_again():
    order = jnp.array([3, 0, 2])
    seen = [
        locate(crop)[0]
        for step in range(3)
        for crop in to_bytes(draw(step=step, order=order, count=2).source_a)
    ]
    assert seen == [3, 0, 2, 3, 0, 2]


@pytest.mark.parametrize("count", [2, 7, 8])
def test_an_epoch_has_every_pair_once_and_disjoint_meta_sets(count):
    order = epoch_order(KEY, 0, [1] * count)
    assert sorted(np.concatenate([order.first_half, order.second_half])) == [
        *range(count)
    ]
    assert len(order.first_half) == count // 2
    assert sorted(np.asarray(order.all)) == [*range(count)]


@pytest.mark.parametrize(
    ("sizes", "first_half"),
    [((9, 2), (4, 1)), ((8, 3), (4, 1)), ((5, 5, 1), (5, 0)), ((2, 1), (1, 0))],
)
def test_a_pair_that_counts_often_is_in_one_half_only(sizes, first_half):
    """The smaller sets count as often as the largest, in each half as well."""
    joined = JoinedPairs([[("a", "b")] * size for size in sizes])
    order = epoch_order(KEY, 3, joined.repeats)
    first, second, everything = (np.bincount(x, minlength=len(joined)) for x in order)
    assert not ((first > 0) & (second > 0)).any()
    np.testing.assert_array_equal(first + second, joined.repeats)
    np.testing.assert_array_equal(everything, joined.repeats)
    rare = np.array(joined.repeats) > 1
    assert ((first[~rare] > 0).sum(), (first[rare] > 0).sum()) == first_half


def test_the_odd_pairs_of_two_sets_go_to_either_half():
    order = epoch_order(KEY, 0, [1, 2])
    assert order.first_half.tolist() in ([0], [1, 1])
    assert {*order.first_half.tolist(), *order.second_half.tolist()} == {0, 1}


def test_each_epoch_and_each_key_has_an_order_of_its_own():
    orders = [
        tuple(np.asarray(getattr(epoch_order(key, epoch, [1] * 50), name)))
        for key in (KEY, jax.random.key(1))
        for epoch in (0, 1)
        for name in ("all", "first_half")
    ]
    assert len(set(orders)) == len(orders)
    again = epoch_order(KEY, 0, [1] * 50)
    assert tuple(np.asarray(again.all)) == orders[0]


def test_pairs_exchange_between_the_halves_over_the_epochs():
    seen = [
        set(np.asarray(epoch_order(KEY, e, [1] * 10).first_half)) for e in range(20)
    ]
    assert set.union(*seen) == set(range(10))


def test_a_set_without_pairs_is_refused():
    with pytest.raises(ValueError, match="at least one pair to train on, got none"):
        pack([])


def test_more_pixels_than_can_be_indexed_are_refused(monkeypatch):
    total = sum(height * width for height, width in SIZES)
    monkeypatch.setattr(device_batches, "MAX_PIXELS", total)
    pack(PAIRS)
    monkeypatch.setattr(device_batches, "MAX_PIXELS", total - 1)
    with pytest.raises(ValueError, match=r"at most 235 pixels .*, got 236"):
        pack(PAIRS)
