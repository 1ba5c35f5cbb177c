import dataclasses
import re

import pytest

from refusion_jax.training.config import PRESETS, Config, preset, to_flat, with_fields


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
def test_presets_are_valid_and_fresh(name):
    first = preset(name)
    first.validate()
    first.run.epochs = 1
    assert preset(name).run.epochs == 50


def test_an_unknown_preset_lists_the_choices():
    with pytest.raises(ValueError, match=f"preset 'best'.*from: {', '.join(PRESETS)}"):
        preset("best")


def test_field_names_are_unique_over_the_sections():
    """Each field is one flag, and `to_flat` must not lose any."""
    sections = [getattr(Config(), f.name) for f in dataclasses.fields(Config)]
    names = [f.name for section in sections for f in dataclasses.fields(section)]
    assert len(names) == len(set(names))
    assert list(to_flat(Config())) == names


def test_replaced_fields_are_in_the_copy_and_not_in_the_original():
    base = Config()
    copy = with_fields(base, {"crop_size": 64, "epochs": 3, "reduction": "sum"})
    assert (copy.data.crop_size, copy.run.epochs, copy.loss.reduction) == (64, 3, "sum")
    assert to_flat(base) == to_flat(Config())
    unchanged = set(to_flat(base)) - {"crop_size", "epochs", "reduction"}
    assert all(to_flat(copy)[name] == to_flat(base)[name] for name in unchanged)


def test_a_flat_config_rebuilds_itself():
    authors = preset("authors")
    assert with_fields(Config(), to_flat(authors)) == authors


def test_an_unknown_setting_lists_all():
    with pytest.raises(ValueError, match=r"setting 'crops'.*from: dataset, .*seed"):
        with_fields(Config(), {"crops": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0."),
        ({"epochs": 0}, "epochs must be at least 1, got 0."),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0."),
        ({"keep_checkpoints": 0}, "keep_checkpoints must be at least 1, got 0."),
        ({"holdout_pairs": -1}, "holdout_pairs must be at least 0 and finite, got -1."),
        ({"seed": -1}, "seed must be at least 0 and finite, got -1."),
        (
            {"alpha_fusion": -0.5},
            "alpha_fusion must be at least 0 and finite, got -0.5.",
        ),
        (
            {"alpha_reconstruction": float("nan")},
            "alpha_reconstruction must be at least 0 and finite, got nan.",
        ),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0."),
        (
            {"inner_learning_rate": float("inf")},
            "inner_learning_rate must be positive, got inf.",
        ),
        ({"crop_size": 7}, "crop_size must be at least 8, got 7."),
        ({"weight_power": 3}, "weight_power must be one of 1, 2, got 3."),
        ({"reduction": "mean"}, "reduction must be one of max, sum, got 'mean'."),
        (
            {"meta_gradient": "maml"},
            "meta_gradient must be one of exact, first_order, finite_difference, "
            "reverse, stopped, got 'maml'.",
        ),
        (
            {"proposal_optimizer": "sgd"},
            "proposal_optimizer must be one of adam, max_norm, got 'sgd'.",
        ),
        (
            {"reconstruction_width": 12},
            "reconstruction_width must be a multiple of 8, got 12.",
        ),
        ({"swap": True, "batch_size": 3}, "batch_size must be even with swap, got 3."),
        (
            {"inner_steps": 2},
            "meta_gradient must be reverse when inner_steps is above 1, got 'exact'.",
        ),
        (
            {"fixed_weights": True},
            "meta_steps must be 0 with fixed_weights, which leave P nothing to learn, "
            "got 600.",
        ),
        (
            {"meta_steps": 0, "fusion_steps": 0},
            "fusion_steps must be positive when meta_steps is 0, got 0.",
        ),
    ],
    ids=lambda x: ",".join(x) if isinstance(x, dict) else "",
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        with_fields(Config(), changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"inner_steps": 3, "meta_gradient": "reverse"},
        {"fixed_weights": True, "meta_steps": 0},
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
