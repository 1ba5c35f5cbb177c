"""The recipes of the shipped weights."""

import json

import pytest
from configs.pretrained import COMMON, RECIPES

from refusion_jax.training.config import preset, with_fields
from refusion_jax.weights.store import load_any_weights


@pytest.mark.parametrize("task", RECIPES)
def test_shipped_weights_were_trained_by_their_recipe(task):
    recipe, notes = RECIPES[task], load_any_weights(task).metadata
    settings = {**COMMON, **recipe.settings}
    assert json.loads(notes["settings"]) == settings
    assert notes["sets"] == ", ".join(recipe.sets)
    pairs = {"source_a": "a", "source_b": "b"}
    config = with_fields(preset("default"), {**settings, **pairs})
    told = config.method.notes(config.settings)
    assert told == {"margin": "8"} == {k: notes[k] for k in told}
