import json

import pytest

from refusion_jax.runs.settings import chosen_config
from refusion_jax.training.config import Config, preset, to_flat, with_fields


@pytest.mark.parametrize(
    ("task", "rule", "alpha"),
    [
        ("ivif", "brighter", 1.0),
        ("mif", "brighter", 0.5),
        ("mfif", "sharper", 0.05),
        ("meif", "even", 0.1),
    ],
)
def test_a_task_has_its_rule_and_its_weight_of_edges(task, rule, alpha):
    config = chosen_config({}, task=task)
    differences = preset("default").diff(config)
    assert config.settings.rule == rule and config.settings.alpha_fusion == alpha
    assert set(differences) <= {"rule", "alpha_fusion"}
    given = chosen_config({"rule": "even"}, task=task)
    assert given.settings.rule == "even"


def test_weights_to_start_from_choose_the_preset_for_it():
    tuned = chosen_config({"init": "x.safetensors"})
    assert tuned.settings.warm_up_share == 0 and tuned.settings.imitation_steps == 0
    paper = chosen_config({"init": "x.safetensors"}, preset_name="paper")
    assert preset("paper").diff(paper) == {"init": ("", "x.safetensors")}


def test_settings_survive_a_file(tmp_path):
    config = with_fields(preset("authors"), {"seed": 7, "source_a": "ir"})
    config.to_json(tmp_path / "config.json")
    assert Config.from_json(tmp_path) == config
    again = chosen_config({"seed": 8}, config_file=tmp_path / "config.json")
    assert config.diff(again) == {"seed": (7, 8)}


def test_an_older_run_has_the_defaults_of_settings_that_it_lacks(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"config": {"fixed_weights": True, "meta_steps": 0}, "data": "x"})
    )
    config = Config.from_json(tmp_path)
    expected = {"loss_weights": "equal", "meta_steps": 0}
    assert to_flat(config) == {**to_flat(Config()), **expected}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected settings as JSON, got .*config.json"),
        ("[1]", "expected setting to value in .*, got list"),
        ('{"config": {"speed": 1}}', "expected a setting among .*, got 'speed'"),
        ('{"config": {"epochs": 0}}', "expected epochs to be at least 1, got 0"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        Config.from_json(tmp_path)


def test_a_file_and_a_preset_are_refused_together(tmp_path):
    with pytest.raises(ValueError, match="either --config or --preset"):
        chosen_config({}, config_file=tmp_path, preset_name="paper")
