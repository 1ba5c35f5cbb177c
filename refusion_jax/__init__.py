"""Image fusion with a meta-learned loss: ReFusion in JAX/Flax.

`fuse(source_a, source_b, weights=...)` fuses two pictures of one scene. Everything
else lives in its module: `nets` (F, R, P), `losses` (Eqs. 1-6), `meta` (the three
updates), `trainer`, `checkpoint`, `weights`.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "fuse"]


def __getattr__(name: str) -> Any:
    """Loads `fuse` on first use, so that `import refusion_jax` stays instant."""
    if name == "fuse":
        from refusion_jax.inference import fuse

        return fuse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
