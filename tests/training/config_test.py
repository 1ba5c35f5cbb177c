import dataclasses
import re

import pytest

from refusion_jax.methods.refusion.settings import PRESETS
from refusion_jax.training.config import (
    Config,
    may_change,
    preset,
    to_flat,
    with_fields,
)
from refusion_jax.training.help import all_fields


def test_the_papers_numbers_are_the_defaults():
    """Section 4.1: L, M, N = 50, 600, 1600; 4 patches of 128 pixels; Adam 1e-4."""
    values = to_flat(preset("paper"))
    assert values == to_flat(Config())
    expected = {
        "epochs": 50,
        "meta_steps": 600,
        "fusion_steps": 1600,
        "batch_size": 4,
        "crop_size": 128,
        "learning_rate": 1e-4,
        "inner_learning_rate": 1e-4,
        "proposal_learning_rate": 1e-4,
        "alpha_fusion": 1.0,
        "alpha_reconstruction": 1.0,
        "weight_power": 1,
        "reduction": "max",
        "inner_steps": 1,
        "meta_gradient": "exact",
        "decay_every": 0,
    }
    assert {name: values[name] for name in expected} == expected


def test_the_authors_preset_differs_in_their_habits_only():
    paper, authors = to_flat(preset("paper")), to_flat(preset("authors"))
    differing = {name: authors[name] for name in paper if authors[name] != paper[name]}
    assert differing == {
        "swap": True,
        "weight_power": 2,
        "alpha_ramp": True,
        "accumulate": 2,
        "proposal_optimizer": "max_norm",
        "decay_every": 10,
    }


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_cannot_be_changed_in_place(name):
    before = preset(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset(name).run.epochs = 1
    with pytest.raises(TypeError):
        PRESETS[name] = {"epochs": 1}
    assert preset(name) == before


def test_an_unknown_preset_lists_the_choices():
    with pytest.raises(ValueError, match=f"among {', '.join(PRESETS)}, got 'best'"):
        preset("best")


def test_field_names_are_unique_over_the_sections():
    """Each field is one flag, and `to_flat` must not lose any."""
    sections = [getattr(Config(), f.name) for f in dataclasses.fields(Config)]
    names = [f.name for section in sections for f in dataclasses.fields(section)]
    assert len(names) == len(set(names))
    assert list(to_flat(Config())) == names
    assert set(all_fields()) >= set(names)


def test_every_setting_says_what_it_means():
    for name, item in all_fields().items():
        assert item.metadata["help"].endswith("."), name


def test_a_run_may_change_what_no_step_depends_on():
    assert may_change(Config()) == {
        *("dataset", "data_dir", "source_a", "source_b", "labels", "memory_budget"),
        *("reader_count", "save_every", "keep_checkpoints"),
        *("validation_a", "validation_b", "validation_labels", "margin"),
    }


def test_replaced_fields_are_in_the_copy_and_not_in_the_original():
    base = Config()
    copy = with_fields(base, {"crop_size": 64, "epochs": 3, "reduction": "sum"})
    assert (copy.data.crop_size, copy.run.epochs, copy.settings.reduction) == (
        64,
        3,
        "sum",
    )
    assert to_flat(base) == to_flat(Config())
    unchanged = set(to_flat(base)) - {"crop_size", "epochs", "reduction"}
    assert all(to_flat(copy)[name] == to_flat(base)[name] for name in unchanged)


def test_a_flat_config_rebuilds_itself():
    authors = preset("authors")
    assert with_fields(Config(), to_flat(authors)) == authors


def test_an_unknown_setting_lists_all():
    with pytest.raises(ValueError, match=r"among dataset, .*seed, .*got 'crops'"):
        with_fields(Config(), {"crops": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "expected batch_size to be at least 1, got 0"),
        ({"epochs": 0}, "expected epochs to be at least 1, got 0"),
        ({"accumulate": 0}, "expected accumulate to be at least 1, got 0"),
        (
            {"keep_checkpoints": 0},
            "expected keep_checkpoints to be at least 1, got 0",
        ),
        (
            {"holdout_pairs": -1},
            "expected holdout_pairs to be at least 0, got -1",
        ),
        ({"seed": -1}, "expected seed to be at least 0, got -1"),
        ({"epochs": "9"}, "expected epochs to be an integer, got '9'"),
        ({"epochs": 9.5}, "expected epochs to be an integer, got 9.5"),
        ({"epochs": True}, "expected epochs to be an integer, got True"),
        ({"swap": "false"}, "expected swap to be true or false, got 'false'"),
        ({"swap": 0}, "expected swap to be true or false, got 0"),
        (
            {"learning_rate": "1e-3"},
            "expected learning_rate to be a number, got '1e-3'",
        ),
        ({"source_a": 3}, "expected source_a to be a text, got 3"),
        (
            {"alpha_fusion": -0.5},
            "expected alpha_fusion to be at least 0, got -0.5",
        ),
        (
            {"alpha_reconstruction": float("nan")},
            "expected alpha_reconstruction to be at least 0, got nan",
        ),
        (
            {"learning_rate": 0.0},
            "expected learning_rate to be above 0 and finite, got 0.0",
        ),
        (
            {"inner_learning_rate": float("inf")},
            "expected inner_learning_rate to be above 0 and finite, got inf",
        ),
        ({"crop_size": 7}, "expected crop_size to be at least 8, got 7"),
        ({"weight_power": 3}, "expected weight_power to be one of 1, 2, got 3"),
        (
            {"reduction": "mean"},
            "expected reduction to be one of max, sum, got 'mean'",
        ),
        (
            {"meta_gradient": "maml"},
            "expected meta_gradient to be one of exact, first_order, "
            "finite_difference, reverse, stopped, got 'maml'",
        ),
        (
            {"proposal_optimizer": "sgd"},
            "expected proposal_optimizer to be one of adam, max_norm, got 'sgd'",
        ),
        (
            {"reconstruction_width": 12},
            "expected reconstruction_width to be divisible by 8, got 12",
        ),
        (
            {"swap": True, "batch_size": 3},
            "expected batch_size to be even with swap, got 3",
        ),
        (
            {"inner_steps": 2, "meta_gradient": "first_order"},
            "expected meta_gradient to be exact, reverse or stopped with inner_steps "
            "above 1, got 'first_order'",
        ),
        (
            {"loss_weights": "equal"},
            "expected meta_steps to be 0 with loss_weights=equal, which leaves P "
            "nothing to learn, got 600",
        ),
        (
            {"third_stage": False, "meta_steps": 0},
            "expected third_stage to be true unless loss_weights is learned and "
            "meta_steps is above 0, got False",
        ),
        (
            {"meta_steps": 0, "fusion_steps": 0},
            "expected fusion_steps to be above 0 with meta_steps of 0, got 0",
        ),
    ],
    ids=lambda x: ",".join(x) if isinstance(x, dict) else "",
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}; change it\\.$"):
        with_fields(Config(), changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"inner_steps": 3, "meta_gradient": "reverse"},
        {"loss_weights": "equal", "meta_steps": 0},
        {"fusion_steps": 0},
        {"swap": True, "batch_size": 2},
        {"alpha_fusion": 0.0},
        {"reconstruction_width": 8},
    ],
    ids=repr,
)
def test_values_on_the_border_are_allowed(changes):
    values = to_flat(with_fields(Config(), changes))
    assert {name: values[name] for name in changes} == changes


def test_settings_of_older_runs_are_understood():
    config = with_fields(Config(), {"fixed_weights": True, "meta_steps": 0})
    assert config.settings.loss_weights == "equal"
    learned = with_fields(config, {"fixed_weights": False})
    assert learned.settings.loss_weights == "learned"
