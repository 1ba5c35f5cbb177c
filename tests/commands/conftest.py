"""A workplace for commands: weights that cost nothing to make, a network likewise."""

import jax
import numpy as np
import pytest

from refusion_jax import inference, nets
from refusion_jax.weights import save_weights


@pytest.fixture(scope="session")
def tree_of():
    """Parameter trees with any numbers: `init_params` compiles for long."""

    def tree(name):
        rng = np.random.default_rng(5)
        return jax.tree.map(
            lambda leaf: rng.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
            getattr(jax.eval_shape(nets.init_params, jax.random.key(0)), name),
        )

    return tree


@pytest.fixture(scope="session")
def params(tree_of):
    return tree_of("fusion")


@pytest.fixture
def workplace(tmp_path, params, monkeypatch):
    """The current folder, with a weight file in it."""
    monkeypatch.chdir(tmp_path)
    # A network that compiles at once, and needs the weights that were named.
    monkeypatch.setattr(
        inference,
        "fuse_luminance",
        lambda params, a, b, **_: a + params["tail2"][0, 0, 0, 0] * b,
    )
    save_weights(tmp_path / "weights.safetensors", {"fusion": params})
    return tmp_path
