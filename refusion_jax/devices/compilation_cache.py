"""JAX's compilation cache on disk: what was compiled once starts at once.

The network is compiled for each size of picture, which takes seconds. JAX keeps the
programs in a folder if it is told to. That is a setting of the whole process, so
nothing happens by itself: the `refusion` command asks for it, a library user may.
"""

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "REFUSION_CACHE"


def default_cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where the `refusion` command keeps compiled programs.

    Args:
      environment: its variables.

    Returns:
      REFUSION_CACHE if it is set, None if it is set to nothing; else `refusion-jax` in
      XDG_CACHE_HOME, or in `.cache` of the home folder.
    """
    if VARIABLE in environment:
        named = environment[VARIABLE]
        return Path(named).expanduser() if named else None
    caches = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "refusion-jax"


def use_compilation_cache(folder: str | os.PathLike[str]) -> None:
    """Turns the cache on, for all of JAX in this process.

    Args:
      folder: is created, for its owner only, since programs from it are run; it may be
        removed at any time.

    Raises:
      OSError: if it cannot be created.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # JAX looks at the setting once, at its first compilation, which may be over.
    compilation_cache.reset_cache()
