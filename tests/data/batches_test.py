"""Crops that are laid over labelled objects."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.data.batches import mark_objects, open_batches
from refusion_jax.data.crops import Cutting, draw_crops, epoch_order
from refusion_jax.devices.data_parallel import batch_mesh
from refusion_jax.methods.protocol import Draw, Stage
from refusion_jax.pictures.labels import MARKS, mark_object

KEY = jax.random.key(3)
SIZE, COUNT = 16, 512
DRAW = Draw("all", 1, "all")
STAGE = Stage("stage", 2, (DRAW,))


def make_pairs():
    """One picture with a small object in a corner, and one without."""
    labels = np.ones((40, 60), np.uint8)
    labels[36:, 55:] = 2
    labels[:4] = 0
    grey = np.zeros_like(labels)
    return [(grey, grey, labels), (grey, grey, np.ones_like(labels))]


def draw_from(pairs, **options):
    return draw_crops(
        *jnp.array([pair[0].shape for pair in pairs]).T,
        KEY,
        stream=1,
        epoch=0,
        step=0,
        order=jnp.arange(2),
        count=COUNT,
        crop_size=SIZE,
        **options,
    )


def draw(share, marks=None, augment=False):
    pairs = make_pairs()
    marks = jnp.asarray(mark_objects(pairs) if marks is None else marks)
    return draw_from(pairs, augment=augment, marks=marks, object_share=share)


def holding(crops, pair=0):
    """Whether each crop of a pair holds a pixel of an object."""
    labels = make_pairs()[pair][2]
    places = zip(crops.pair, crops.top, crops.left, strict=True)
    return np.array(
        [
            (labels[top : top + SIZE, left : left + SIZE] == 2).any()
            for which, top, left in places
            if which == pair
        ]
    )


def test_marks_lie_on_objects_each_class_as_often():
    generator = np.random.default_rng(0)
    labels = generator.choice(5, (30, 40), p=[0.3, 0.5, 0.15, 0.04, 0.01]).astype("u1")
    marks = mark_object(labels, 60)
    marked = labels[tuple(marks.T)]
    assert np.bincount(marked).tolist() == [0, 0, 20, 20, 20]
    few = np.unique(marks[marked == 2], axis=0)
    assert len(few) == 20, "pixels of a class are marked once if there are enough"


def test_a_picture_of_one_class_or_none_has_no_marks():
    for value in (0, 3):
        assert (mark_object(np.full((4, 4), value, np.uint8)) == -1).all()


def test_crops_hold_an_object_as_often_as_asked():
    by_chance = holding(draw(0.0)).mean()
    assert holding(draw(1.0)).all()
    half = holding(draw(0.5))
    expected = 0.5 + 0.5 * by_chance
    # Four standard deviations of a share of 256 crops.
    assert abs(half.mean() - expected) < 4 * np.sqrt(0.25 / len(half))


def test_an_object_lies_anywhere_in_its_crop_and_crops_stay_inside():
    marks = np.full((2, MARKS, 2), -1, np.int32)
    marks[0] = (20, 30)
    crops = draw(1.0, marks)
    own = np.asarray(crops.pair) == 0
    for start, mark in ((crops.top, 20), (crops.left, 30)):
        assert set((mark - np.asarray(start)[own]).tolist()) == set(range(SIZE))
    corner = draw(1.0)
    assert (np.asarray(corner.top) <= 40 - SIZE).all()
    assert (np.asarray(corner.left) <= 60 - SIZE).all()


def test_pictures_without_objects_and_runs_without_the_share_are_as_before():
    before = draw_from(make_pairs(), augment=True)
    for share, pairs in ((0.0, [0, 1]), (1.0, [1])):
        now = draw(share, augment=True)
        same = np.isin(before.pair, pairs)
        for old, new in zip(before, now, strict=True):
            np.testing.assert_array_equal(np.asarray(old)[same], np.asarray(new)[same])


def test_streamed_crops_are_those_from_memory():
    pytest.importorskip("grain", reason="grain is in the extra `data`")
    pairs, cutting = make_pairs(), Cutting(8, SIZE, augment=True, object_share=0.7)
    labels = []
    for budget in (1e9, 0):
        batches = open_batches(
            pairs,
            cutting,
            memory_budget=budget,
            reader_count=0,
            put=jax.device_put,
            mesh=batch_mesh(1),
        )
        pixels = batches.pixels(KEY, STAGE, epoch=0, start=0, length=1)
        batch = jax.jit(partial(batches.draw, draw=DRAW))(
            pixels,
            KEY,
            order=epoch_order(KEY, 0, [1] * len(pairs)),
            epoch=jnp.asarray(0),
            step=jnp.asarray(0),
            first=jnp.asarray(0),
        )
        labels.append(np.asarray(batch.third))
    np.testing.assert_array_equal(*labels)
    assert (labels[0] == 2).any(axis=(1, 2)).sum() >= 2


def test_what_cannot_be_marked_is_refused_in_a_sentence():
    grey = np.zeros((20, 20), np.uint8)
    with pytest.raises(ValueError, match=r"expected labels with every pair.*got none"):
        mark_objects([(grey, grey)])
    with pytest.raises(ValueError, match=r"expected two labelled classes.*got none"):
        mark_objects([(grey, grey, grey)])
