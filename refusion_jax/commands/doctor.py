"""`refusion doctor`: checks this installation and lists what it runs on."""

import argparse
import platform
import sys
import time

from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.commands.set_up import add_cache_option, set_up_jax
from refusion_jax.extras import version_of

EXAMPLES = """\
examples:
  refusion doctor

exit status: 0 if a tiny picture can be fused, 1 if not
"""
PACKAGES = (
    *("refusion-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"),
    *("pillow", "safetensors", "av", "tensorflow-datasets", "grain"),
)
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-rocm7-plugin")
SIDE = 16  # pixels of the tiny picture


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "doctor",
        run,
        summary="check this installation",
        description="List what is installed and which devices JAX sees, and fuse a "
        "tiny picture with random weights.",
        examples=EXAMPLES,
    )
    add_cache_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints one fact per line; the last line states whether fusion works.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 if the tiny picture could be fused, 1 if not.
    """
    print(f"python: {sys.version.split()[0]} on {platform.platform()}")
    for package in PACKAGES:
        print(f"{package}: {version_of(package) or 'not installed'}")
    plugins = [f"{x} {version_of(x)}" for x in PLUGINS if version_of(x)]
    print(f"accelerator plugin: {', '.join(plugins) or 'none, JAX runs on the CPU'}")
    try:
        import jax

        set_up_jax(arguments)
        print(f"devices: {', '.join(map(str, jax.devices()))}")
        print(f"compilation cache: {_cache()}")
        print(f"fusion: ok, {_fuse():.1f} s with compilation")
    # Any kind of error, because reporting what is wrong is what this command is for.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        print(f"fusion: failed ({reason})")
        return 1
    return 0


def _cache() -> str:
    from pathlib import Path

    import jax

    folder = jax.config.values["jax_compilation_cache_dir"]
    if not folder or not jax.config.values["jax_enable_compilation_cache"]:
        return "off"
    files = [x for x in Path(folder).glob("*") if x.is_file()]
    size = sum(x.stat().st_size for x in files)
    return f"{folder} ({len(files)} files, {size / 1e6:.1f} MB)"


def _fuse() -> float:
    """Fuses a tiny picture and returns the seconds it took; raises if it is wrong."""
    import jax
    import numpy as np

    from refusion_jax.fusing.inference import fuse
    from refusion_jax.methods.refusion.nets import networks

    start = time.monotonic()
    generator = np.random.default_rng(0)
    shapes = jax.eval_shape(networks.init_params, jax.random.key(0)).fusion
    # Not by `init_params`, because compiling that takes longer than this check should.
    params = jax.tree.map(
        lambda leaf: generator.uniform(-0.3, 0.3, leaf.shape).astype(np.float32), shapes
    )
    sources = generator.integers(0, 256, (2, SIDE, SIDE), np.uint8)
    fused = fuse(*sources, weights=params)
    if fused.shape != (SIDE, SIDE) or fused.min() == fused.max():
        raise ValueError(
            f"expected a varied picture of {SIDE}x{SIDE}, got one of "
            f"{fused.shape} with levels {fused.min()} to {fused.max()}; reinstall jax."
        )
    return time.monotonic() - start
