import hashlib

import numpy as np
import pytest

from refusion_jax.cli import main
from refusion_jax.training import checkpoint
from refusion_jax.weights.store import save_weights


@pytest.fixture
def run(workplace, params, tree_of):
    """A run folder in the current one."""
    for step in ("80", "9"):
        (workplace / "run" / "checkpoints" / step).mkdir(parents=True)
    trees = {"fusion": params, "proposal": tree_of("proposal")}
    notes = {"step": "80", "config": '{"seed": 3, "source_a": "x"}'}
    save_weights(workplace / "run" / "weights.safetensors", trees, notes)
    return workplace / "run"


def test_a_run_tells_its_steps_networks_and_settings(run, capsys):
    assert main(["info", "run"]) == 0
    content = (run / "weights.safetensors").read_bytes()
    assert capsys.readouterr().out.splitlines() == [
        "run: run",
        "checkpoints: step 9, step 80",
        f"weights: run/weights.safetensors ({len(content):,} bytes)",
        f"sha256: {hashlib.sha256(content).hexdigest()}",
        "fusion: 59,856 parameters (with interaction, with gating)",
        "proposal: 89,058 parameters",
        "config.seed: 3",
        'config.source_a: "x"',
        "step: 80",
    ]


def test_a_variant_of_the_fusion_network_is_told(workplace, params, capsys):
    without = {k: v for k, v in params.items() if k != "cross_attention"}
    save_weights(workplace / "ablated.safetensors", {"fusion": without})
    assert main(["info", "ablated.safetensors"]) == 0
    assert "(without interaction, with gating)" in capsys.readouterr().out


def test_decision_fusion_is_told(workplace, params, capsys):
    deciding = {k: v for k, v in params.items() if k != "tail2"}
    deciding["decision_tail"] = np.zeros((2, 16, 3, 3), np.float32)
    save_weights(workplace / "deciding.safetensors", {"fusion": deciding})
    assert main(["info", "deciding.safetensors"]) == 0
    assert "(with interaction, with gating, decision fusion)" in capsys.readouterr().out


def test_the_authors_file_has_the_fusion_network_only(shared, capsys):
    assert main(["info", str(shared("official", "ivif", "ReFusion_IVIF.pth"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "fusion: 59,856 parameters (with interaction, with gating)"
    assert lines[-1].startswith("maps: none, --maps will not work (expected weights")


def test_a_checkpoint_tells_its_step_settings_and_checksums(run, capsys):
    """The names are those that `checkpoint.py` has Orbax write."""
    record = run / "checkpoints" / "80" / checkpoint._RECORD / "metadata"
    record.parent.mkdir()
    record.write_text('{"config": {"seed": 3}, "sha256": {"params_fusion": "ab12"}}')
    assert main(["info", "run/checkpoints/80"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "checkpoint: step 80 in run/checkpoints/80",
        "config.seed: 3",
        'sha256.params_fusion: "ab12"',
    ]
    record.write_text("cut off")
    assert main(["info", "run/checkpoints/80"]) == 2
    err = capsys.readouterr().err
    assert "expected the metadata of a checkpoint, got " in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("place", ["none", "none.pth", "text.safetensors", "text"])
def test_what_is_no_weights_is_told_in_a_sentence(workplace, capsys, place):
    (workplace / "text").write_text("no weights")
    (workplace / "text.safetensors").write_text("no weights")
    assert main(["info", place]) == 2
    err = capsys.readouterr().err
    assert place in err and err.count("\n") == 1


def test_shipped_weights_tell_their_card(workplace, shipped, capsys):
    assert main(["info", "heat"]) == 0
    content = (shipped / "heat.safetensors").read_bytes()
    assert capsys.readouterr().out.splitlines() == [
        "shipped: heat (Heat and light)",
        "sources: infrared, visible",
        "license: apache-2.0",
        f"weights: {shipped}/heat.safetensors ({len(content):,} bytes)",
        f"sha256: {hashlib.sha256(content).hexdigest()}",
        "fusion: 59,856 parameters (with interaction, with gating)",
        "maps: none, --maps will not work (expected weights that include the loss "
        f"proposal module P, got {shipped}/heat.safetensors without it; name the "
        "folder of a run.)",
        "for: heat",
        "",
        "# Heat and light",
        "",
        "For tests.",
        "",
        "---",
        "",
        "The end.",
    ]


def test_a_file_is_meant_before_shipped_weights(workplace, shipped, capsys):
    (workplace / "weights.safetensors").rename(workplace / "heat")
    assert main(["info", "heat"]) == 2
    assert "got heat; name one of these" in capsys.readouterr().err
    assert main(["info", "./scan"]) == 0
    assert capsys.readouterr().out.startswith("shipped: scan (Scans)\n")
