"""The loop on a schedule of a few steps, with tiny networks."""

import dataclasses
import json
import shutil
import signal

import jax
import numpy as np
import pytest

from refusion_jax.data.patches import Patch, PatchedPairs
from refusion_jax.data.sources import JoinedPairs, in_order
from refusion_jax.training import program, trainer
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.program import make_learner
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.schedule import schedule
from refusion_jax.training.signals import Interrupted, SignalWatch
from refusion_jax.training.trainer import NonFiniteError, split_pairs, train
from refusion_jax.training.workdir import Workdir
from refusion_jax.weights.store import load_weights, save_weights

SETTINGS = {
    "crop_size": 16,
    "batch_size": 1,
    "reconstruction_blocks": 1,
    "epochs": 2,
    "meta_steps": 1,
    "fusion_steps": 2,
    "steps_per_dispatch": 2,
    "learning_rate": 1e-2,
    "holdout_pairs": 1,
    "judged_pairs": 0,
}


def config_with(**values):
    return with_fields(preset("paper", "tiny"), {**SETTINGS, **values})


def dispatches_of(config):
    learner, _ = make_learner(config)
    return [
        *schedule(
            learner.stages,
            epochs=config.run.epochs,
            steps_per_dispatch=config.run.steps_per_dispatch,
        )
    ]


def program_of(config, pairs):
    learner, mesh = make_learner(config)
    return program.Program(learner, config, mesh, pairs[1:], pairs[:1])


def random_pairs(count=4, size=(24, 20)):
    generator = np.random.default_rng(0)
    return [
        tuple(generator.integers(0, 256, (2, *size), np.uint8)) for _ in range(count)
    ]


pytestmark = pytest.mark.usefixtures("tiny_method")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_method):
    workdir = tmp_path_factory.mktemp("run")
    state = train(config_with(), random_pairs(), workdir, progress=False)
    return workdir, state


def test_schedule_alternates_m_outer_and_n_fusion_updates():
    config = config_with(meta_steps=4, fusion_steps=3, steps_per_dispatch=2)
    plan = [
        (d.epoch, d.stage.name, d.start, d.length, d.end_step)
        for d in dispatches_of(config)
    ]
    one_epoch = [
        ("meta", 0, 2, 2),
        ("meta", 2, 2, 4),
        ("fusion", 0, 1, 5),
        ("fusion", 1, 1, 6),
        ("fusion", 2, 1, 7),
    ]
    assert plan == [
        (epoch, stage, start, length, end + 7 * epoch)
        for epoch in range(2)
        for stage, start, length, end in one_epoch
    ]


def test_run_leaves_every_promised_file(finished):
    workdir, state = finished
    assert int(state.step) == 6
    assert json.loads((workdir / "config.json").read_text())["config"]["epochs"] == 2
    pictures = sorted(path.name for path in (workdir / "pictures").iterdir())
    assert pictures == ["epoch_0000.png", "epoch_0001.png", "epoch_0002.png"]
    saved = load_weights(workdir / "weights.safetensors")
    assert set(saved.trees) == {"fusion", "reconstruction", "proposal"}
    np.testing.assert_array_equal(
        saved.trees["fusion"]["numbers"], state.params.fusion["numbers"]
    )


def test_scalars_hold_every_dispatch_and_validation(finished):
    workdir, _ = finished
    lines = read_scalars(workdir / "scalars.jsonl")
    assert [(line["step"], line["stage"]) for line in lines] == [
        (0, "validation"),
        (1, "meta"),
        (3, "fusion"),
        (3, "validation"),
        (4, "meta"),
        (6, "fusion"),
        (6, "validation"),
    ]
    assert all(np.isfinite(v) for x in lines for k, v in x.items() if k != "stage")
    assert all(x["steps_per_second"] > 0 for x in lines if x["stage"] != "validation")


def test_finished_run_is_not_trained_further(finished):
    workdir, state = finished
    before = (workdir / "scalars.jsonl").read_text()
    again = train(config_with(), random_pairs(), workdir, progress=False)
    assert int(again.step) == 6
    np.testing.assert_array_equal(
        again.params.fusion["numbers"], state.params.fusion["numbers"]
    )
    assert (workdir / "scalars.jsonl").read_text() == before


def test_a_finished_run_goes_on_as_if_it_had_been_longer(finished, tmp_path):
    """The first epochs are those of the longer run, and so are the scalars."""
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    whole, longer = (
        train(config_with(epochs=3), random_pairs(), folder, progress=False)
        for folder in (tmp_path / "whole", workdir)
    )
    assert int(longer.step) == 9
    jax.tree.map(np.testing.assert_array_equal, longer.params, whole.params)
    assert losses(workdir) == losses(tmp_path / "whole")
    assert json.loads((workdir / "config.json").read_text())["config"]["epochs"] == 3
    with pytest.raises(ValueError, match=r"epochs=3, got 2; use the same settings"):
        train(config_with(epochs=2), random_pairs(), workdir, progress=False)


def losses(workdir):
    return [
        {name: x for name, x in line.items() if name != "steps_per_second"}
        for line in read_scalars(workdir / "scalars.jsonl")
    ]


@pytest.mark.parametrize(
    "settings",
    [{"alpha_ramp": True}, {"schedule": "cosine"}, {"warm_up_share": 0.5}],
)
def test_a_run_whose_schedule_knows_its_length_does_not_go_on(settings, tmp_path):
    config = with_epochs(config_with(**settings), 3)
    Workdir(tmp_path, config, random_pairs())
    with pytest.raises(ValueError, match=r"epochs=3, got 5; its schedule depends on"):
        Workdir(tmp_path, with_epochs(config, 5), random_pairs())


def test_other_settings_in_the_same_workdir_are_refused(finished):
    workdir, _ = finished
    with pytest.raises(
        ValueError, match=r"holds a run with seed=0, got 7; use the same"
    ):
        train(config_with(seed=7), random_pairs(), workdir, progress=False)


def test_a_run_of_before_the_rename_is_compared_by_what_it_meant(finished, tmp_path):
    """`fixed_weights` has become `loss_weights=equal`."""
    record = json.loads((finished[0] / "config.json").read_text())
    del record["config"]["loss_weights"]
    record["config"]["fixed_weights"] = True
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="run with loss_weights=equal, got learned"):
        train(config_with(), random_pairs(), tmp_path, progress=False)


def test_other_pairs_in_the_same_workdir_are_refused(finished):
    workdir, _ = finished
    with pytest.raises(ValueError, match="holds a run on other pairs; use another"):
        train(config_with(), random_pairs(5), workdir, progress=False)


def test_loss_that_is_not_finite_names_step_and_term_and_spares_the_checkpoint(
    tmp_path, monkeypatch
):
    config = config_with(meta_steps=0)
    train(with_epochs(config, 1), random_pairs(), tmp_path, progress=False)
    checkpoints = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    (tmp_path / "config.json").unlink()  # the longer run is the same run here
    real_run = trainer.Program.run

    def broken_run(self, state, dispatch):
        state, scalars = real_run(self, state, dispatch)
        return state, scalars | {"fusion_loss_gradient": np.array([0.1, np.nan])}

    monkeypatch.setattr(trainer.Program, "run", broken_run)
    with pytest.raises(
        NonFiniteError,
        match=r"fusion_loss_gradient, got nan at step 4 \(fusion step 2 of epoch 2\);",
    ):
        train(config, random_pairs(), tmp_path, progress=False)
    assert sorted(x.name for x in (tmp_path / "checkpoints").iterdir()) == checkpoints


def with_epochs(config, epochs):
    return dataclasses.replace(
        config, run=dataclasses.replace(config.run, epochs=epochs)
    )


def test_a_signal_while_the_start_compiles_ends_the_run_before_its_first_step(
    tmp_path, monkeypatch
):
    def run(self, state, dispatch):
        raise AssertionError("a step was made")

    monkeypatch.setattr(SignalWatch, "received", signal.SIGINT)
    monkeypatch.setattr(program.Program, "run", run)
    with pytest.raises(Interrupted, match="before the first step: nothing is lost"):
        train(config_with(), random_pairs(), tmp_path, progress=False)


def test_precision_of_fusion_steps_is_theirs_alone():
    config = config_with(fusion_precision="bfloat16")
    pairs = random_pairs()
    first = {}
    for name, settings in (("rounded", config), ("exact", config_with())):
        made = program_of(settings, pairs)
        for dispatch in dispatches_of(settings)[:2]:
            _, scalars = made.run(made.init_state(), dispatch)
            first[name, dispatch.stage.name] = scalars["fusion_loss"][0]
    assert first["rounded", "meta"] == first["exact", "meta"]
    assert first["rounded", "fusion"] != first["exact", "fusion"]
    assert first["rounded", "fusion"] == pytest.approx(
        first["exact", "fusion"], rel=0.02
    )


def test_both_stages_are_compiled_as_training_asks_for(monkeypatch):
    monkeypatch.setattr(program, "training_options", lambda: {"no_such_option": 1})
    pairs = random_pairs()
    made = program_of(config_with(), pairs)
    for dispatch in dispatches_of(config_with())[:2]:
        with pytest.raises(Exception, match="no_such_option"):
            made.run(made.init_state(), dispatch)


def test_held_out_pairs_are_not_trained_on():
    pairs, config = random_pairs(5), config_with(holdout_pairs=2)
    training, held_out = split_pairs(config, make_learner(config)[0].stages, pairs)
    assert len(training) == 3 and len(held_out) == 2
    everything = [id(pair) for pair in (*training, *held_out)]
    assert sorted(everything) == sorted(id(pair) for pair in pairs)


def test_patches_of_held_out_pairs_are_held_out():
    pairs, config = random_pairs(5), config_with(holdout_pairs=2)
    patches = [Patch(i, 0, left) for i in range(5) for left in (0, 4)]
    cut = PatchedPairs(pairs, patches, 16)
    training, held_out = split_pairs(config, make_learner(config)[0].stages, cut)
    assert len(training) == 6 and len(held_out) == 4
    whole = [pair[0] for pair in pairs]
    sources = [
        {
            next(i for i, x in enumerate(whole) if np.shares_memory(x, a))
            for a, _ in part
        }
        for part in ([*in_order(training)], [*in_order(held_out)])
    ]
    assert not sources[0] & sources[1] and len(sources[1]) == 2


def test_sets_count_alike_whether_pairs_are_held_out_or_given():
    sets = JoinedPairs([random_pairs(4), random_pairs(2)])
    config = config_with(holdout_pairs=0)
    stages = make_learner(config)[0].stages
    for held_out in (None, random_pairs(1)):
        training, _ = split_pairs(config, stages, sets, held_out)
        assert training.repeats == [1, 1, 1, 1, 2, 2]


def test_too_few_pairs_say_how_many_are_needed():
    config = config_with()
    stages = make_learner(config)[0].stages
    with pytest.raises(ValueError, match=r"expected at least 3 pairs .*got 2"):
        split_pairs(config, stages, random_pairs(2))
    with pytest.raises(ValueError, match=r"expected at least 2 pairs, got 1; add p"):
        split_pairs(config, stages, random_pairs(1), random_pairs(3))


def test_the_weights_of_a_complete_run_are_written_if_they_are_missing_or_old(tmp_path):
    """As where the disk was full, or power was lost, right after the last save."""
    config, path = config_with(), tmp_path / "weights.safetensors"

    def again():
        train(config, random_pairs(), tmp_path, progress=False)
        weights = load_weights(path)
        return weights.metadata, jax.tree.map(np.ndarray.tolist, weights.trees)

    whole, when = again(), path.stat().st_mtime_ns
    again()
    assert path.stat().st_mtime_ns == when  # complete: nothing is written
    path.unlink()
    assert again() == whole
    weights = load_weights(path)
    save_weights(path, weights.trees, {"step": "3"}, method=weights.method)
    assert again() == whole


def test_a_folder_without_the_record_of_a_run_is_not_taken_for_one(tmp_path):
    config, path = config_with(), tmp_path / "config.json"
    config.to_json(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"got .*config\.json without its pairs; move"):
        train(config, random_pairs(), tmp_path, progress=False)
    assert path.read_bytes() == before
    path.write_text("{")
    with pytest.raises(
        ValueError, match=r"got .*config\.json, which is no JSON \(.*\)"
    ):
        train(config, random_pairs(), tmp_path, progress=False)
