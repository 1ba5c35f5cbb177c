"""A workplace for commands: weights that cost nothing to make, a network likewise."""

import pytest

from refusion_jax.methods.refusion import forward
from refusion_jax.weights.store import save_weights


@pytest.fixture
def workplace(tmp_path, params, monkeypatch):
    """The current folder, with a weight file in it."""
    monkeypatch.chdir(tmp_path)
    # A network that compiles at once, and needs the weights that were named.
    monkeypatch.setattr(
        forward,
        "fuse_luminance",
        lambda params, a, b, **_: a + params["tail2"][0, 0, 0, 0] * b,
    )
    save_weights(tmp_path / "weights.safetensors", {"fusion": params})
    return tmp_path
