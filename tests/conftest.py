"""Settings and fixtures of all tests."""

import os
from pathlib import Path

import jax
import pytest

# A silent broadcast between ranks is a bug more often than an intention.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Float64 for one test: derivatives are compared to many digits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def shared():
    """Path of shared material (weights, pictures, reference values), or a skip."""
    root = Path(os.environ.get("REFUSION_SHARED", "../shared"))

    def locate(*parts):
        path = root.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{path} is absent; set REFUSION_SHARED to the shared material")
        return path

    return locate
