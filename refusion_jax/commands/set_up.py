"""What commands that run networks begin with: all cores, and the compilation cache."""

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
      parser: of a command that runs networks.
    """
    parser.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="keep no compiled programs; otherwise they are in $REFUSION_CACHE, or in "
        "refusion-jax in $XDG_CACHE_HOME or ~/.cache",
    )


def set_up_jax(arguments: argparse.Namespace) -> None:
    """Lets cores share a picture; does what `--no-cache` and the environment say.

    A cache that somebody has set up by JAX's own means is left as it is, unless
    REFUSION_CACHE names another. A folder that cannot be used is no reason to stop.

    Args:
      arguments: of a parser with `add_cache_option`.
    """
    import jax

    from refusion_jax.devices.cores import use_all_cores

    use_all_cores()
    folder = default_cache_folder()
    is_set_up = (
        jax.config.values["jax_compilation_cache_dir"] and VARIABLE not in os.environ
    )
    if not arguments.cache or folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
    elif not is_set_up:
        try:
            use_compilation_cache(folder)
        except OSError as error:
            complain(f"no compilation cache in {folder} ({error.strerror}).")
