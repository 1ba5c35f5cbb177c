"""`experiments/proposals.py`: what it measures of weights, and of runs."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from proposals_report import along_runs, measure, middle, name_of, of_rule, row

from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.training.workdir import SCALARS

RNG = np.random.default_rng(0)


def test_the_middle_of_a_picture_is_measured_and_all_of_a_small_one():
    large, small = RNG.integers(0, 256, (300, 400)), RNG.integers(0, 256, (40, 256))
    a, b = middle((large.astype(np.uint8), small.astype(np.uint8)))
    np.testing.assert_allclose(a[..., 0], large[22:278, 72:328] / 255, rtol=1e-6)
    np.testing.assert_allclose(b[..., 0], small / 255, rtol=1e-6)


def test_means_over_pairs_are_those_of_each_pair():
    pairs = [[*RNG.random((2, 24, 20, 1), np.float32)] for _ in range(2)]
    alone = [measure(of_rule("brighter"), [pair]) for pair in pairs]
    both = measure(of_rule("brighter"), pairs)
    name = "intensity_weights_correlation"
    assert both[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2)
    assert both[name] > 0.8


def test_a_row_has_the_columns_of_w_and_then_those_of_v():
    def propose(a, b):
        shares = jnp.broadcast_to(jnp.array([0.25, 0.75]), (1, 16, 16, 2))
        return WeightMaps(shares, shares[..., ::-1])

    pair = [*RNG.random((2, 16, 16, 1), np.float32)]
    assert row("MSRS (1)", "mine", measure(propose, [pair])) == (
        "| MSRS (1) | mine | 0.00 | 0.25 | 0.00 | 0.00 | 0.00 "
        "| 0.00 | 0.75 | 0.00 | 0.00 | 0.00 |"
    )


def test_runs_are_told_epoch_by_epoch_and_weights_are_not(tmp_path):
    def write(name, *validations):
        (tmp_path / name).mkdir()
        lines = [{"step": 1, "stage": "fusion", "fusion_loss": 0.5}, *validations]
        text = "".join(json.dumps(x) + "\n" for x in lines)
        (tmp_path / name / SCALARS).write_text(text)
        return str(tmp_path / name)

    def seen(step, w, **others):
        correlation = {"intensity_weights_correlation": w}
        return {"step": step, "stage": "validation", **correlation, **others}

    long = write("long", seen(0, -0.125), seen(5, 0.5), seen(9, 0.75))
    short = write("short", seen(0, 0.25, fused_rank=3.0), seen(5, 0, fused_rank=2.5))
    assert along_runs({"ivif": ["ivif", long], "mif": [short]}) == [
        "| task | run | of | start | 1 | 2 |",
        "|---|---|---|---:|---:|---:|",
        "| ivif | long | w_a | -0.12 | 0.50 | 0.75 |",
        "| mif | short | w_a | 0.25 | 0.00 |  |",
        "| mif | short | rank | 3.00 | 2.50 |  |",
    ]
    assert along_runs({"ivif": ["ivif"]}) == []


def test_weights_are_called_by_their_file_or_folder():
    places = ["ivif", "weights/mine.safetensors", "runs/lr0.5", "runs/lr0.1"]
    assert [name_of(place) for place in places] == ["ivif", "mine", "lr0.5", "lr0.1"]
