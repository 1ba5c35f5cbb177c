"""A study with tiny networks: what is trained, scored, kept and told."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.runs import study as studying
from refusion_jax.runs import study_results
from refusion_jax.runs.study import scored_pairs, study
from refusion_jax.runs.study_results import ScoredPairs
from refusion_jax.runs.variants import read_variant
from refusion_jax.training.trainer import NonFiniteError

VARIANTS = ("accumulate=1", "loss_weights=equal,meta_steps=0")


@pytest.fixture
def folders(tmp_path):
    """Two folders of six pairs."""
    generator = np.random.default_rng(0)
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for number in range(6):
            picture = generator.integers(0, 256, (40, 40), np.uint8)
            Image.fromarray(picture).save(tmp_path / side / f"{number}.png")
    return str(tmp_path / "a"), str(tmp_path / "b")


@pytest.fixture
def conduct(folders, tiny_method, tmp_path, monkeypatch):
    """Runs the study; returns its text, what was told, and how often weights fused."""
    fused = []

    class Fusing:
        def __init__(self, weights, *, output_range):
            self.weights = weights

        def __call__(self, pair):
            fused.append((self.weights.parent.name, pair.stem))
            return np.asarray(Image.open(pair.path_a))

    for module in (studying, study_results):
        monkeypatch.setattr(module, "FromWeights", Fusing)
    common = {
        **dict(zip(("source_a", "source_b"), folders, strict=True)),
        **{"method": tiny_method.name, "crop_size": 32, "batch_size": 2},
        **{"epochs": 1, "meta_steps": 1, "fusion_steps": 1, "holdout_pairs": 1},
        **{"imitation_steps": 0, "warm_up_share": 0.0, "judged_pairs": 0},
    }

    def run(seeds=2, sources=folders, show=to_markdown):
        told = []
        text = study(
            VARIANTS,
            tmp_path / "study",
            common=common,
            seeds=seeds,
            test_sets=[ScoredPairs("small", *sources)],
            keys=("en", "sd"),
            tell=told.append,
            show=show,
        )
        return text.replace("\\_", "_"), told, fused

    return run


def test_each_variant_and_seed_is_trained_and_scored_once(conduct, tmp_path):
    text, told, fused = conduct()
    assert told == [
        f"{variant}, seed {seed}" for seed in (0, 1) for variant in VARIANTS
    ]
    # All runs for their scores, and two pairs by each variant for the page.
    assert len(set(fused)) == 2 * 2 * 6 and len(fused) == 2 * 2 * 6 + 2 * 2
    assert text.count("| accumulate=1 |") == 1  # the reference: means only
    assert text.count("| loss_weights=equal,meta_steps=0 |") == 3
    record = json.loads((tmp_path / "study" / "study.json").read_text())
    runs = record["variants"]["accumulate=1"]
    assert [run["seed"] for run in runs] == [0, 1]
    assert runs[0]["validation"]["stage"] == "validation"
    assert runs[0]["means"]["small"]["en"] > 1 and 0 < runs[0]["seconds"] < 600
    page = (tmp_path / "study" / "report.html").read_text()
    assert "small" in page and page.count('class="strip"') == 2
    assert page.count("<figcaption>Source a</figcaption>") == 2
    assert page.count("<figcaption>accumulate=1</figcaption>") == 2 + 1  # and a panel
    assert "<figcaption>L_f</figcaption>" in page and "Mean IoU" not in page
    latex = (tmp_path / "study" / "table.tex").read_text()
    assert latex.count(r"\end{tabular}") == 3 and r"accumulate=1" in latex
    kept = (tmp_path / "study" / "table.md").read_text()
    again, _, fused = conduct(show=lambda table: f"{len(table.rows)} rows\n")
    assert len(fused) == 2 * 2 * 6 + 2 * 2 * 2  # scores were known
    assert (tmp_path / "study" / "table.md").read_text() == kept
    assert text == kept.replace("\\_", "_")
    assert again.splitlines()[:3] == ["## small", "", "2 rows"] and "|" not in again


def test_a_test_set_of_other_folders_is_scored_anew(conduct, folders, tmp_path):
    text, _, fused = conduct(seeds=1)
    count = len(fused)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "black.png")
    for place in ("dark", "darker"):
        (tmp_path / place).mkdir()
        for name in ("1.png", "2.png"):
            shutil.copy(tmp_path / "black.png", tmp_path / place / name)
    dark = str(tmp_path / "dark"), str(tmp_path / "darker")
    other, _, _ = conduct(seeds=1, sources=dark)
    assert len(fused) > count and other != text
    assert "0.000" in other  # the entropy of black


def test_a_failed_run_is_listed_and_the_others_stand(conduct, monkeypatch, tmp_path):
    started = studying.start

    def start(config, folder, progress):
        if config.run.seed == 1 and config.settings.loss_weights == "equal":
            raise NonFiniteError("L_f is not finite at step 3.")
        return started(config, folder, progress=progress)

    monkeypatch.setattr(studying, "start", start)
    text, told, _ = conduct()
    assert told[-1] == "L_f is not finite at step 3."
    assert "- loss_weights=equal,meta_steps=0, seed 1: L_f is not finite" in text
    page = (tmp_path / "study" / "report.html").read_text()
    assert "<li>loss_weights=equal,meta_steps=0, seed 1: L_f is not fin" in page
    assert "failed: 1" in text and text.count("| loss_weights=equal") == 2
    assert studying.failures(tmp_path / "study") == 1


def test_without_a_run_of_the_reference_there_is_no_page(
    conduct, monkeypatch, tmp_path
):
    def start(config, folder, progress):
        raise NonFiniteError("L_f is not finite at step 3.")

    monkeypatch.setattr(studying, "start", start)
    text, _, _ = conduct()
    assert "Every run of the reference failed" in text and "failed: 4" in text
    assert not (tmp_path / "study" / "report.html").exists()


def test_a_study_needs_pairs_to_score_on(conduct, monkeypatch):
    with pytest.raises(ValueError, match="expected a test set to score on, got none"):
        study(
            VARIANTS,
            None,
            common={},
            seeds=1,
            test_sets=[],
            keys=("en",),
            tell=print,
        )


@pytest.mark.parametrize("text", ["", "MSRS", "MSRS=a", "=a,b"])
def test_a_test_set_is_a_name_and_two_folders(text):
    with pytest.raises(ValueError, match="NAME=A,B with two folders"):
        scored_pairs(text)
    assert scored_pairs("M=a,b") == ScoredPairs("M", "a", "b")


def test_a_variants_own_fields_win_over_the_common_ones():
    config = read_variant("preset=paper,epochs=3", {"epochs": 9, "crop_size": 48})
    assert config.run.epochs == 3 and config.data.crop_size == 48
    assert config.settings.reconstruction_noise == 0  # of the preset


def test_common_fields_may_be_those_of_another_method(folders, monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(studying, "study", lambda *_, common, **__: seen.update(common))
    studying.study_of_folders(
        ["epochs=2"],
        tmp_path / "study",
        source_a=folders[0],
        source_b=folders[1],
        tests=[],
        common="method=uaafusion,classes=3,labels=masks",
        seeds=1,
        tell=print,
    )
    assert (seen["classes"], seen["labels"]) == (3, "masks")
