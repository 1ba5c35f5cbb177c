"""`refusion doctor`: whether this installation works, and what it runs on."""

import argparse
import platform
import sys
import time

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


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describes the arguments.

    Args:
      commands: where the parser goes.
    """
    parser = commands.add_parser(
        "doctor",
        help="check this installation",
        description="Say what is installed and which devices JAX sees, and fuse a tiny "
        "picture with random weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_cache_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line a fact; the last one says whether all is well.

    Args:
      arguments: as `add_parser` describes them.

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
    # Whatever is wrong with an installation, this is where it is told.
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
    """Seconds that a tiny picture takes; an error if it is not one."""
    import jax
    import numpy as np

    from refusion_jax.fusing.inference import fuse
    from refusion_jax.methods.refusion.nets import networks

    start = time.monotonic()
    generator = np.random.default_rng(0)
    shapes = jax.eval_shape(networks.init_params, jax.random.key(0)).fusion
    # Not `init_params` itself, which compiles for longer than a doctor should take.
    params = jax.tree.map(
        lambda leaf: generator.uniform(-0.3, 0.3, leaf.shape).astype(np.float32), shapes
    )
    sources = generator.integers(0, 256, (2, SIDE, SIDE), np.uint8)
    fused = fuse(*sources, weights=params)
    if fused.shape != (SIDE, SIDE) or fused.min() == fused.max():
        raise ValueError(f"expected a picture of {SIDE}x{SIDE}, got another.")
    return time.monotonic() - start
