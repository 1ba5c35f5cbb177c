"""JAX's compilation cache on disk, which spares later processes the compilation.

The network is compiled once per picture size, which takes seconds. JAX can keep the
compiled programs in a folder. Because that is a setting of the whole process, it is off
by default: the `refusion` command turns it on, and users of the library may.
"""

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "REFUSION_CACHE"
_FOLDER = "refusion-jax"


def default_cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Returns the folder in which the `refusion` command keeps compiled programs.

    Args:
      environment: environment variables.

    Returns:
      REFUSION_CACHE if it is set, or None if it is set to the empty string; otherwise
      `refusion-jax` in XDG_CACHE_HOME if that is set, or where the system keeps caches:
      `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.

    Examples:
      >>> print(default_cache_folder({"XDG_CACHE_HOME": "/caches"}))
      /caches/refusion-jax
      >>> print(default_cache_folder({"REFUSION_CACHE": ""}))
      None
    """
    if VARIABLE in environment:
        named = environment[VARIABLE]
        return Path(named).expanduser() if named else None
    if caches := environment.get("XDG_CACHE_HOME"):
        return Path(caches) / _FOLDER
    from platformdirs import user_cache_path

    return user_cache_path(_FOLDER, appauthor=False)


def use_compilation_cache(folder: str | os.PathLike[str]) -> None:
    """Turns the cache on for all of JAX in this process.

    Args:
      folder: created if missing, with access for its owner only, because programs from
        it are executed. It may be removed at any time.

    Raises:
      OSError: if the folder cannot be created.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # JAX reads the setting only at its first compilation, which may already be past.
    compilation_cache.reset_cache()
