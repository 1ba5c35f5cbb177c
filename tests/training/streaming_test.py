"""A streamed run is a run from memory: the same weights, bit for bit."""

import jax
import numpy as np
import pytest

from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.trainer import train
from refusion_jax.weights.store import load_weights

pytest.importorskip("grain", reason="grain is in the extra `data`")


def test_a_streamed_run_ends_with_the_weights_of_a_run_from_memory(
    tmp_path, tiny_method
):
    generator = np.random.default_rng(0)
    pairs = [
        tuple(generator.integers(0, 256, (20 + i, 24), np.uint8) for _ in "ab")
        for i in range(5)
    ]
    settings = {
        "crop_size": 16,
        "batch_size": 2,
        "swap": True,
        "reconstruction_blocks": 1,
        "epochs": 2,
        "meta_steps": 2,
        "fusion_steps": 2,
        "steps_per_dispatch": 1,
        "holdout_pairs": 1,
        "judged_pairs": 0,
    }
    trees = []
    for memory_budget in (4e9, 0):
        workdir = tmp_path / str(memory_budget)
        config = with_fields(
            preset("paper", tiny_method.name),
            settings | {"memory_budget": memory_budget},
        )
        train(config, pairs, workdir, progress=False)
        trees.append(load_weights(workdir / "weights.safetensors").trees)
    memory, stream = trees
    for name in memory:
        for one, other in zip(
            *(jax.tree.leaves(tree[name]) for tree in (memory, stream)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
