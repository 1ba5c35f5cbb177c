"""Image fusion with a meta-learned loss: ReFusion in JAX/Flax.

`fuse(source_a, source_b, task=...)` fuses pictures of one scene, a `Fuser` loads the
weights once and fuses many, `pretrained()` lists the weights that come with the
package, `register(moving, fixed)` finds how one picture lies on another, `score(a, b,
fused)` scores a fused picture and `evaluate(folder_a, folder_b, fused)` a folder of
them, `train(config, folder_a, folder_b, workdir)` returns a `Run`, and
`use_all_cores()`, called first, lets the cores of a CPU share each picture. The rest is
in subpackages: `methods.refusion` (the networks F, R and P, the losses of Eqs. 1-6, the
three updates), `training`, `fusing`, `weights`, `export`, `data`, `metrics`,
`evaluation`, `pictures`. ARCHITECTURE.md is the map.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refusion_jax import data, evaluation, metrics, training
    from refusion_jax.devices.cores import use_all_cores
    from refusion_jax.evaluation.scores import Scores
    from refusion_jax.evaluation.scoring import evaluate
    from refusion_jax.evaluation.triple import score
    from refusion_jax.fusing.fuser import Fuser
    from refusion_jax.fusing.fusion import Fusion
    from refusion_jax.fusing.inference import fuse
    from refusion_jax.fusing.registering import register
    from refusion_jax.runs.run import Run, train
    from refusion_jax.weights.pretrained import pretrained

    __version__: str

# Where each name lives. It is loaded on first use, so that `import refusion_jax` stays
# instant.
_HOMES = {
    "Fuser": "fusing.fuser",
    "Fusion": "fusing.fusion",
    "Scores": "evaluation.scores",
    "evaluate": "evaluation.scoring",
    "fuse": "fusing.inference",
    "pretrained": "weights.pretrained",
    "register": "fusing.registering",
    "score": "evaluation.triple",
    "train": "runs.run",
    "Run": "runs.run",
    "use_all_cores": "devices.cores",
}
_ROOMS = (
    *("data", "devices", "evaluation", "export", "files", "fusing", "methods"),
    *("metrics", "pictures", "reporting", "runs", "training", "web", "weights"),
)

__all__ = [
    "Fuser",
    "Fusion",
    "Run",
    "Scores",
    "__version__",
    "data",
    "evaluate",
    "evaluation",
    "fuse",
    "metrics",
    "pretrained",
    "register",
    "score",
    "train",
    "training",
    "use_all_cores",
]


def __getattr__(name: str) -> Any:
    """Loads each name and each room on first use."""
    if name == "__version__":
        from refusion_jax.extras import version_of

        return version_of()
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists what can be had, loaded or not."""
    own = {name for name in globals() if name.startswith("__")}
    return sorted({*own, *__all__, *_ROOMS})
