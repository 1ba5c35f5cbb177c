"""Image fusion with a meta-learned loss: ReFusion in JAX/Flax.

`fuse(source_a, source_b, task=...)` fuses pictures of one scene, a `Fuser` loads the
weights once and fuses many, `pretrained()` lists the weights that come with the
package, `evaluate(folder_a, folder_b, fused)` scores fused pictures, and
`use_all_cores()`, called first, lets the cores of a CPU share each picture.
Everything else lives in its room: `methods.refusion` (the networks F, R and P, the
losses of Eqs. 1-6, the three updates), `training`, `fusing`, `weights`, `export`,
`data`, `metrics`, `evaluation`, `pictures`. ARCHITECTURE.md is the map.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refusion_jax.devices.cores import use_all_cores
    from refusion_jax.evaluation.scoring import evaluate
    from refusion_jax.fusing.fuser import Fuser
    from refusion_jax.fusing.inference import fuse
    from refusion_jax.runs.run import train
    from refusion_jax.weights.pretrained import pretrained

    __version__: str

__all__ = [
    "Fuser",
    "__version__",
    "evaluate",
    "fuse",
    "pretrained",
    "train",
    "use_all_cores",
]


def __getattr__(name: str) -> Any:
    """Loads each name on first use, so that `import refusion_jax` stays instant."""
    if name == "__version__":
        from refusion_jax.extras import version_of

        return version_of()
    if name == "fuse":
        from refusion_jax.fusing.inference import fuse

        return fuse
    if name == "evaluate":
        from refusion_jax.evaluation.scoring import evaluate

        return evaluate
    if name == "Fuser":
        from refusion_jax.fusing.fuser import Fuser

        return Fuser
    if name == "pretrained":
        from refusion_jax.weights.pretrained import pretrained

        return pretrained
    if name == "use_all_cores":
        from refusion_jax.devices.cores import use_all_cores

        return use_all_cores
    if name == "train":
        from refusion_jax.runs.run import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
