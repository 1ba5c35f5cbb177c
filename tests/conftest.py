"""Settings and fixtures of all tests."""

import os
from pathlib import Path

import jax
import pytest

# Compiling is most of what the tests do: what one test or process has compiled, the
# others take from disk. Environment variables, so that child processes do so too.
CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(
        Path(__file__).parent.parent / ".pytest_cache/jax"
    ),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
}
for name, value in CACHE.items():
    jax.config.update(name.lower(), value if "DIR" in name else float(value))
    os.environ[name] = value

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
