"""The set-up of commands that run networks: all cores, and the compilation cache."""

import argparse
import os

from refusion_jax.commands.messages import complain
from refusion_jax.devices.compilation_cache import (
    VARIABLE,
    default_cache_folder,
    use_compilation_cache,
)


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--no-cache`.

    Args:
      parser: the parser of a command that runs networks.
    """
    parser.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="keep no compiled programs; by default they are kept in $REFUSION_CACHE, "
        "or else in refusion-jax in the system's folder of caches (~/.cache on Linux)",
    )


def set_up_jax(arguments: argparse.Namespace) -> None:
    """Lets all cores share a picture, and sets up or disables the compilation cache.

    The cache follows `--no-cache` and the environment. A cache that has been set up by
    JAX's own means is left as it is unless REFUSION_CACHE names another. A folder that
    cannot be used is reported, but does not stop the command.

    Args:
      arguments: arguments of a parser with `add_cache_option`.
    """
    from refusion_jax.devices.cores import use_all_cores

    use_all_cores()
    use_cache(is_wanted=arguments.cache)


def use_cache(*, is_wanted: bool) -> None:
    """Sets up or disables the compilation cache, see `set_up_jax`.

    Args:
      is_wanted: whether to keep compiled programs.
    """
    import jax

    folder = default_cache_folder()
    is_set_up = (
        jax.config.values["jax_compilation_cache_dir"] and VARIABLE not in os.environ
    )
    if not is_wanted or folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
    elif not is_set_up:
        try:
            use_compilation_cache(folder)
        except OSError as error:
            complain(
                f"no compilation cache in {folder} ({error.strerror}); continuing "
                "without one."
            )
