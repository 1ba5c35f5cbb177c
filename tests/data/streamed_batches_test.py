import threading
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image

from refusion_jax.data.crops import Crops, Cutting, epoch_order
from refusion_jax.data.device_batches import as_batch, draw_batch, pack
from refusion_jax.data.layout import SplitFolders

pytest.importorskip("grain", reason="grain is in the extra `data`")
# After the line above, which skips where it cannot be imported.
from refusion_jax.data import streamed_batches
from refusion_jax.data.streamed_batches import (
    StageReader,
    cut,
    iterate,
    plan,
    stream_crops,
)

CROP = 8
META_TRAIN, FUSION = 1, 3
STEPS = 12
SIZES = [(8, 9), (20, 17), (9, 30), (16, 8), (11, 11)]
KEY = jax.random.key(7)
GENERATOR = np.random.default_rng(0)
PAIRS = [
    tuple(GENERATOR.integers(0, 256, size, np.uint8) for _ in "ab") for size in SIZES
]


def planned(*, stream=FUSION, epoch=1, count=4, augment=True, steps=STEPS):
    return plan(
        SIZES,
        KEY,
        stream=stream,
        epoch=epoch,
        steps=steps,
        order=order_of(stream, epoch),
        crops_in_step=count,
        crop_size=CROP,
        augment=augment,
    )


def order_of(stream, epoch):
    order = epoch_order(KEY, epoch, [1] * len(SIZES))
    return order.first_half if stream == META_TRAIN else order.all


def streamed(pairs=PAIRS, count=4, crops=None, **processes):
    crops = planned(count=count) if crops is None else crops
    return stream_crops(pairs, crops, crop_size=CROP, crops_in_step=count, **processes)


def equal(one, other):
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("stream", "augment", "count"),
    [
        (META_TRAIN, True, 4),
        (FUSION, True, 4),
        (FUSION, True, 2),
        (FUSION, False, 4),
    ],
)
def test_streamed_batches_are_those_of_the_device_bit_for_bit(stream, augment, count):
    to_batch = jax.jit(lambda a, b: as_batch(a, b)[:2])
    on_device = jax.jit(
        partial(
            draw_batch,
            pack(PAIRS),
            KEY,
            stream=stream,
            order=order_of(stream, 1),
            count=count,
            crop_size=CROP,
            augment=augment,
        )
    )
    crops = planned(stream=stream, count=count, augment=augment)
    batches = streamed(count=count, crops=crops)
    assert len(batches) == STEPS
    for step in range(STEPS):
        batch = on_device(epoch=1, step=step)
        assert batch.source_a.shape == (count, CROP, CROP, 1)
        assert equal(to_batch(*batches[step]), batch[:2])
    assert not equal(to_batch(*batches[0]), on_device(epoch=2, step=0)[:2])


@pytest.mark.parametrize("index", range(8))
def test_a_crop_is_turned_as_the_device_turns_it(index):
    """Against the definition: out[i, j] = window[row(i), column(j)], transposed."""
    flip_rows, flip_columns, transpose = (bool(index & bit) for bit in (1, 2, 4))
    picture = PAIRS[1][0]
    crop = Crops(0, 3, 5, flip_rows, flip_columns, transpose)
    made = cut(picture, crop, CROP)
    for i in range(CROP):
        for j in range(CROP):
            row = CROP - 1 - i if flip_rows else i
            column = CROP - 1 - j if flip_columns else j
            if transpose:
                row, column = column, row
            assert made[i, j] == picture[3 + row, 5 + column]


def test_the_plan_of_a_stage_is_pure_and_each_epoch_has_its_own():
    assert equal(planned(), planned())
    assert not equal(planned(), planned(epoch=2))
    longer = planned(steps=2 * STEPS)
    assert equal(planned(), (each[: 4 * STEPS] for each in longer))


@pytest.mark.parametrize("start", [0, 5, STEPS - 1])
def test_a_resume_in_mid_epoch_goes_on_with_the_same_batches(start):
    stream = streamed()
    rest = list(iterate(stream, start=start))
    assert len(rest) == STEPS - start
    for offset, batch in enumerate(rest):
        assert equal(batch, stream[start + offset])


def test_two_hosts_share_each_batch_between_them():
    """Disjoint and covering: one part after the other is the single host's batch."""
    whole = streamed()
    parts = [streamed(process_index=i, process_count=2) for i in (0, 1)]
    for step in range(STEPS):
        shares = [part[step] for part in parts]
        assert all(pixels.shape == (2, CROP, CROP) for x in shares for pixels in x)
        joined = (np.concatenate(side) for side in zip(*shares, strict=True))
        assert equal(joined, whole[step])


@pytest.mark.parametrize(("index", "count"), [(0, 3), (2, 2), (-1, 2)])
def test_batches_that_cannot_be_shared_are_refused(index, count):
    with pytest.raises(ValueError, match="4 crops to be shared equally by"):
        streamed(process_index=index, process_count=count)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The pairs as a prepared set on the disk."""
    pytest.importorskip(
        "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
    )
    from refusion_jax.data.builder import prepare
    from refusion_jax.data.prepared import PreparedPairs

    root = tmp_path_factory.mktemp("stream")
    folders = SplitFolders(root / "a", root / "b")
    for i, folder in enumerate(folders[:2]):
        folder.mkdir()
        for stem, pair in enumerate(PAIRS):
            Image.fromarray(pair[i]).save(folder / f"{stem}.png")
    target = prepare("folder", root, folders={"train": folders}, progress=False)
    return PreparedPairs(target, "train")


def test_a_prepared_set_gives_the_batches_of_its_pictures(prepared):
    assert prepared.sizes == SIZES
    from_disk, from_memory = streamed(prepared), streamed()
    assert all(equal(from_disk[i], from_memory[i]) for i in range(STEPS))


@pytest.mark.parametrize("worker_count", [0, 2])
def test_the_number_of_workers_changes_nothing(prepared, worker_count):
    """With a resume in mid-epoch."""
    expected = streamed()
    batches = iterate(streamed(prepared), start=3, worker_count=worker_count)
    seen = 0
    for offset, batch in enumerate(batches):
        assert equal(batch, expected[3 + offset])
        seen += 1
    assert seen == STEPS - 3


def test_a_reader_goes_through_the_stages_and_can_begin_anywhere():
    def stack(stream, epoch, start, length):
        count = 2
        crops = planned(stream=stream, epoch=epoch, count=count)
        batches = streamed(count=count, crops=crops)
        steps = [batches[i] for i in range(start, start + length)]
        return [np.stack(side) for side in zip(*steps, strict=True)]

    def read(reader, stream, epoch, start, length):
        return reader.read(
            KEY,
            stream=stream,
            epoch=epoch,
            order=order_of(stream, epoch),
            steps=STEPS,
            start=start,
            length=length,
        )

    cutting = Cutting(2, CROP, augment=True)
    dispatches = [
        (META_TRAIN, 0, 0, 6),
        (FUSION, 0, 0, 4),
        (META_TRAIN, 0, 6, 6),
        (FUSION, 0, 4, 4),
        (FUSION, 0, 8, 4),
        (FUSION, 1, 0, 4),
        (FUSION, 1, 8, 4),  # not the next one
    ]
    through = StageReader(PAIRS, cutting)
    for dispatch in dispatches:
        fresh = StageReader(PAIRS, cutting)
        for reader in (through, fresh):
            pixels = read(reader, *dispatch)
            assert pixels[0].shape == (dispatch[3], 2, CROP, CROP)
            assert equal(pixels, stack(*dispatch))
        fresh.close()
    through.close()


def test_a_reader_plans_a_stage_once_and_keeps_one_iterator_per_stream(monkeypatch):
    planned_starts = []

    def counted(*args, **options):
        planned_starts.append((options["stream"], options["epoch"]))
        return plan(*args, **options)

    monkeypatch.setattr(streamed_batches, "plan", counted)
    reader = StageReader(PAIRS, Cutting(2, CROP, augment=True))
    for epoch in (0, 1):
        for start in (0, 4, 8):
            for stream in (META_TRAIN, FUSION):
                reader.read(
                    KEY,
                    stream=stream,
                    epoch=epoch,
                    order=order_of(stream, epoch),
                    steps=STEPS,
                    start=start,
                    length=4,
                )
    assert planned_starts == [
        (META_TRAIN, 0),
        (FUSION, 0),
        (META_TRAIN, 1),
        (FUSION, 1),
    ]
    assert set(reader._batches) == {META_TRAIN, FUSION}
    reader.close()
    assert not reader._batches


def test_a_reader_that_stops_early_leaves_no_threads():
    before = set(threading.enumerate())
    batches = iterate(streamed())
    next(batches)
    readers = set(threading.enumerate()) - before
    batches.close()
    assert readers
    for reader in readers:
        reader.join(timeout=60)
        assert not reader.is_alive()
