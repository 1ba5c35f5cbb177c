"""Settings and fixtures of all tests."""

import os
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import jax
import light
import numpy as np
import pytest

from refusion_jax.files.checksums import sha256_of
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.store import save_weights

# Tests compile much and compute little: LLVM need not optimise, and the older emitter
# of fused operations compiles them in half the time. Before jax starts, and for child
# processes too.
FLAGS = [
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if metadata.version("jaxlib").startswith("0.10."):  # 0.11.2 does not know it
    FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))

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

# Batches that two devices can share are shared; all else runs on the first.
jax.config.update("jax_num_cpu_devices", 2)

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


@pytest.fixture(scope="session")
def tree_of():
    """Parameter trees with any numbers: `init_params` compiles for long."""

    def tree(name):
        rng = np.random.default_rng(5)
        return jax.tree.map(
            lambda leaf: rng.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
            getattr(jax.eval_shape(networks.init_params, jax.random.key(0)), name),
        )

    return tree


@pytest.fixture(scope="session")
def params(tree_of):
    return tree_of("fusion")


class HandModel:
    """A `FusionModel` of plain functions: its pictures can be computed by hand."""

    method = "by hand"
    facts: ClassVar = {"parameters": 0}

    def __init__(self, fuse=lambda a, b: (a + b) / 2, maps=None):
        self._fuse, self._maps = fuse, maps

    def fuse(self, luminance_a, luminance_b, *, precision):
        return self._fuse(luminance_a, luminance_b)

    def batched(self, source_a, source_b):
        return self._fuse(source_a, source_b)

    plainly = batched

    def require_maps(self):
        if self._maps is None:
            raise ValueError("expected weights with maps, got some without.")

    def maps(self, luminance_a, luminance_b):
        self.require_maps()
        return self._maps(luminance_a, luminance_b)


@pytest.fixture(scope="session")
def hand_model():
    """The class `HandModel`: call it with a function of two luminances."""
    return HandModel


@pytest.fixture(scope="session")
def light_nets():
    """Stand-ins for F, R and P where the code around them is tested.

    Differentiable in every entry of the real parameter trees, and compiled in a moment.
    """
    return light.NETS


@pytest.fixture(scope="session")
def light_method(light_nets):
    """ReFusion with `light_nets`, registered under the name "light"."""
    del light_nets
    return light.register()


@pytest.fixture(scope="session")
def tiny_method():
    """ReFusion with trees of three numbers, registered under the name "tiny"."""
    return light.register_tiny()


CARDS = {  # title, sources, first, second, any, look
    "heat": (
        *("Heat and light", "infrared", "visible"),
        *("[IR, infrared]", "[vi, visible]", "[]", "sensors"),
    ),
    "scan": (
        *("Scans", "functional", "MRI"),
        *("[pet]", "[mri]", "[brain]", "black surround"),
    ),
    "depth": ("Depth", "near", "far", "[near]", "[far]", "[focus]", "sharpness"),
    "bracket": ("Light", "under", "over", "[under]", "[over]", "[ev]", "brightness"),
}
CARD = """\
---
license: apache-2.0
title: {}
method: refusion
sources:
- {}
- {}
sha256: "{}"
hints:
  first: {}
  second: {}
  any: {}
  look: {}
---

# {}

For tests.

---

The end.
"""


@pytest.fixture
def shipped(tmp_path, params, monkeypatch):
    """Weights that come with the package, made here: four of them."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name, (title, a, b, *hints) in CARDS.items():
        file = folder / f"{name}.safetensors"
        save_weights(file, {"fusion": params}, {"for": name})
        card = CARD.format(title, a, b, sha256_of(file), *hints, title)
        (folder / f"{name}.card.md").write_text(card)
    module = "refusion_jax.weights.pretrained.shipped_folder"
    monkeypatch.setattr(module, lambda: folder)
    return folder
