import gc
import logging
import shutil
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion.nets.networks import NetsParams
from refusion_jax.methods.refusion.optimizers import (
    PROPOSAL_OPTIMIZERS,
    make_optimizers,
)
from refusion_jax.methods.refusion.state import init_state
from refusion_jax.training.checkpoint import Checkpointer

OPTIMIZERS = make_optimizers(proposal_optimizer="adam", accumulate=2)
RECORD = {"config": {"seed": 3}, "data": "abc"}


def make_state(step, size=1000):
    """A small run; every number depends on the step, and none compresses well."""
    numbers = np.random.default_rng(step).standard_normal((3, size), np.float32)
    params = NetsParams(
        {"w": jnp.asarray(numbers[0])},
        {"v": {"x": jnp.asarray(numbers[1]).reshape(2, -1)}, "y": jnp.asarray(0.3)},
        {"u": jnp.asarray(numbers[2])},
    )
    state = init_state(params, OPTIMIZERS, jax.random.key(step + 5))
    # Moments as training leaves them: unlike each other and not zero.
    opt_states = jax.tree.map(
        lambda x: (
            x
            + jnp.asarray(np.random.default_rng(x.size).uniform(size=x.shape), x.dtype)
            if x.ndim
            else x + jnp.asarray(step + 1, x.dtype)
        ),
        state.opt_states,
    )
    return state._replace(step=jnp.asarray(step, jnp.int32), opt_states=opt_states)


LIKE = make_state(0)


def leaves(state):
    raw = state._replace(key=jax.random.key_data(state.key))
    return jax.tree_util.tree_leaves_with_path(raw)


def assert_same_bits(state, expected):
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for (path, one), (_, other) in zip(leaves(state), leaves(expected), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), path
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), path


def save(folder, *steps, keep=5, validations=None):
    with Checkpointer(folder, keep) as saver:
        for step in steps:
            validation = (validations or {}).get(step)
            saver.save(make_state(step), record=RECORD, validation=validation)


def restore(folder, like=LIKE, keep=5):
    with Checkpointer(folder, keep) as saver:
        return saver.restore_newest(like)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    """Checkpoints 1, 2, 3: copied by the tests that damage them."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    save(folder, 1, 2, 3)
    return folder


@pytest.fixture
def saved(saved_once, folder):
    """Checkpoints 1, 2, 3, to be damaged."""
    shutil.copytree(saved_once, folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def abandoned_coroutines():
    """Where one array cannot be read, Orbax forgets those that read the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)
        yield
        gc.collect()


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def test_nothing_saved_is_nothing_restored(folder):
    assert restore(folder) is None


def test_the_newest_state_comes_back_to_the_last_bit(saved):
    restored = restore(saved)
    assert_same_bits(restored.state, make_state(3))
    assert restored.record == RECORD


@pytest.mark.parametrize("proposal_optimizer", PROPOSAL_OPTIMIZERS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_optimiser_saves_and_comes_back(folder, proposal_optimizer, accumulate):
    """max_norm has no state at all, which Orbax would not save."""
    optimizers = make_optimizers(
        proposal_optimizer=proposal_optimizer, accumulate=accumulate
    )
    tree = {"w": jnp.arange(3.0)}
    state = init_state(NetsParams(tree, tree, tree), optimizers, jax.random.key(0))
    with Checkpointer(folder, 1) as saver:
        saver.save(state, record=RECORD)
    assert_same_bits(restore(folder, state).state, state)


def test_the_restored_key_draws_the_same_numbers(saved):
    restored = restore(saved).state.key
    np.testing.assert_array_equal(
        jax.random.bits(jax.random.fold_in(restored, 9), (4,)),
        jax.random.bits(jax.random.fold_in(make_state(3).key, 9), (4,)),
    )


def test_numbers_that_compare_badly_come_back_too(folder):
    odd = jnp.asarray([jnp.nan, -0.0, jnp.inf, 1e-40], jnp.float32)
    state = make_state(1, size=4)
    state = state._replace(params=state.params._replace(fusion={"w": odd}))
    with Checkpointer(folder, 1) as saver:
        saver.save(state, record=RECORD)
    assert_same_bits(restore(folder, make_state(0, size=4)).state, state)


def test_the_newest_and_the_best_are_kept(folder):
    save(folder, 1, 2, 3, 4, 5, 6, keep=2, validations={1: 0.5, 2: 0.1, 4: 0.3})
    assert steps_in(folder) == [2, 5, 6]


def test_without_validation_only_the_newest_are_kept(folder):
    save(folder, 1, 2, 3, 4, keep=2)
    assert steps_in(folder) == [3, 4]


def test_leaving_the_context_waits_for_the_save(folder, monkeypatch):
    """The background thread cannot finish before the context is being left."""
    import orbax.checkpoint as ocp

    leaving = threading.Event()
    commit = ocp.CheckpointManager._finalize
    waited = []

    def held_back(*args, **kwargs):
        waited.append(leaving.wait(timeout=20))
        return commit(*args, **kwargs)

    monkeypatch.setattr(ocp.CheckpointManager, "_finalize", held_back)
    with Checkpointer(folder, 1) as saver:
        saver.save(make_state(1), record=RECORD)
        assert steps_in(folder) == []
        leaving.set()
    assert waited == [True]
    assert_same_bits(restore(folder).state, make_state(1))


def test_a_state_may_be_overwritten_as_soon_as_save_returns(folder):
    """A step to which it is donated reuses its memory while Orbax still writes."""
    step = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    size = 1_000_000
    expected = make_state(1, size=size)
    with Checkpointer(folder, 1) as saver:
        state = make_state(1, size=size)
        saver.save(state, record=RECORD)
        parts = (state.params, state.opt_states)
        for _ in range(5):
            parts = step(parts)
        jax.block_until_ready(parts)
        assert state.params.fusion["w"].is_deleted()
    assert_same_bits(restore(folder, make_state(0, size=size)).state, expected)


def largest_file(step_folder, item):
    files = [path for path in (step_folder / item).rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def flip_a_bit(path, position=0.5):
    """In the middle by default: what Orbax notes at the end may be superseded."""
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "item",
    [
        f"{kind}_{network}"
        for kind in ("params", "optimizer")
        for network in NetsParams._fields
    ],
)
def test_a_flipped_bit_is_named_and_the_one_before_is_used(saved, caplog, item):
    flip_a_bit(largest_file(saved / "3", item))
    assert_same_bits(restore(saved).state, make_state(2))
    first, second = (
        r.message
        for r in caplog.records
        if r.name == "refusion_jax.training.checkpoint"
    )
    assert first.startswith("Checkpoint 3 is damaged: ") and item in first
    assert second == f"Moved checkpoint 3 to {saved.parent / 'damaged' / '3'}."
    assert steps_in(saved) == [1, 2]
    assert (saved.parent / "damaged" / "3" / item).is_dir()


@pytest.mark.parametrize("item", ["params_fusion", "progress", "record"])
def test_no_flipped_bit_in_any_file_changes_what_is_restored(saved, item):
    """Some files hold copies or notes: then the state is the newest, else the older."""
    files = [path for path in (saved / "3" / item).rglob("*") if path.is_file()]
    with Checkpointer(saved, 5) as saver:
        for path in files:
            before = path.read_bytes()
            flip_a_bit(path, 0.5)
            restored = saver.restore_newest(LIKE).state
            assert_same_bits(restored, make_state(int(restored.step)))
            if int(restored.step) == 2:
                (saved.parent / "damaged" / "3").rename(saved / "3")
                saver._manager.reload()
            path.write_bytes(before)
        assert int(saver.restore_newest(LIKE).state.step) == 3


@pytest.mark.parametrize(
    ("item", "length"),
    [("params_fusion", 0.5), ("optimizer_proposal", 0), ("record", 0.5)],
)
def test_a_truncated_file_is_named_and_the_one_before_is_used(
    saved, caplog, item, length
):
    path = largest_file(saved / "3", item)
    content = path.read_bytes()
    path.write_bytes(content[: int(length * len(content))])
    assert_same_bits(restore(saved).state, make_state(2))
    assert "Checkpoint 3 is damaged: " in caplog.text
    assert steps_in(saved) == [1, 2]


def test_a_missing_key_of_the_metadata_is_told_as_such(saved, caplog):
    path = saved / "3" / "params_fusion" / "_METADATA"
    path.write_text(path.read_text().replace("skip_deserialize", "skip_deserialise"))
    assert_same_bits(restore(saved).state, make_state(2))
    assert "Checkpoint 3 is damaged: KeyError: 'skip_deserialize'." in caplog.text


def test_a_missing_item_is_damage_too(saved):
    shutil.rmtree(saved / "3" / "optimizer_fusion")
    assert_same_bits(restore(saved).state, make_state(2))


def test_two_damaged_ones_are_both_set_aside(saved, caplog):
    for step in ("3", "2"):
        flip_a_bit(largest_file(saved / step, "params_fusion"))
    assert_same_bits(restore(saved).state, make_state(1))
    for step in (3, 2):
        assert f"Checkpoint {step} is damaged: " in caplog.text
    assert steps_in(saved.parent / "damaged") == [2, 3]


def test_a_damaged_step_can_be_saved_again(saved):
    flip_a_bit(largest_file(saved / "3", "params_fusion"))
    with Checkpointer(saved, 5) as saver:
        assert int(saver.restore_newest(LIKE).state.step) == 2
        saver.save(make_state(3), record=RECORD)
    assert_same_bits(restore(saved).state, make_state(3))
    # And damaged again: what was set aside before does not stand in the way.
    flip_a_bit(largest_file(saved / "3", "params_fusion"))
    assert_same_bits(restore(saved).state, make_state(2))


def test_nothing_but_damaged_checkpoints_is_an_error(saved):
    for step in ("1", "2", "3"):
        flip_a_bit(largest_file(saved / step, "params_proposal"))
    with pytest.raises(ValueError, match=r"^expected .*\(3: .*; 2: .*; 1: .*\);"):
        restore(saved)
    assert steps_in(saved) == [1, 2, 3]


def test_a_half_written_checkpoint_is_removed(saved):
    half = saved / "4.orbax-checkpoint-tmp"
    shutil.copytree(saved / "3", half)
    assert_same_bits(restore(saved).state, make_state(3))
    assert not half.exists()


def test_an_intact_checkpoint_leaves_no_warning(saved, caplog):
    caplog.set_level(logging.WARNING)
    restore(saved)
    assert not [
        r for r in caplog.records if r.name == "refusion_jax.training.checkpoint"
    ]


def test_a_full_disk_is_one_sentence(tmp_path):
    checkpointer = Checkpointer(tmp_path / "checkpoints", keep=1)

    class Full:
        def save(self, *_, **__):
            raise ValueError("RESOURCE_EXHAUSTED: Error writing file")

        def close(self):
            raise ValueError("RESOURCE_EXHAUSTED: Error writing file")

    checkpointer._manager.close()
    checkpointer._manager = Full()
    with pytest.raises(OSError, match=r"expected room for .*, got a full disk"):
        checkpointer.save(make_state(1), record={})
    with pytest.raises(OSError, match="full disk"), checkpointer:
        pass
