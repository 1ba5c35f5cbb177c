import pytest

from refusion_jax.methods.refusion.settings import STUDIES
from refusion_jax.runs.variants import expand, read_variant
from refusion_jax.training.config import preset


def test_the_rows_of_table_5_differ_from_the_default_in_what_they_ablate():
    variants = expand(["table5"])
    names = [text.partition(":")[0] for text in variants]
    assert names == ["ours", *("I", "II", "III", "IV", "V", "VI", "VII", "VIII")]
    default = preset("default")
    unlearned = {"loss_weights": "equal", "imitation_steps": 0, "meta_steps": 0}
    differences = [
        {name: new for name, (_, new) in default.diff(read_variant(text, {})).items()}
        for text in variants
    ]
    assert differences == [
        {},
        unlearned,
        {"joint_loss": True, **unlearned},
        {"third_stage": False, "meta_steps": 60},
        {"reduction": "sum"},
        {"decision": True},
        {"interaction": False, "gating": False},
        {"interaction": False},
        {"gating": False},
    ]


def test_lists_and_variants_stand_side_by_side():
    assert expand(["swap=false", "table5"]) == ["swap=false", *STUDIES["table5"]]
    assert expand([""]) == [""]  # the default preset
    with pytest.raises(ValueError, match=r"variants among table5, got 'table6'; cho"):
        expand(["table6"])
    with pytest.raises(ValueError, match="variants among none, got 'table5'"):
        expand(["table5"], "uaafusion")


def test_a_name_before_a_variant_changes_nothing():
    named = read_variant("softer: swap=false", {"seed": 3})
    assert named == read_variant("swap=false", {"seed": 3})
