"""`refusion doctor`: checks this installation and lists what it runs on."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from refusion_jax.commands.messages import complain, is_terminal, say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.commands.set_up import add_cache_option, set_up_jax
from refusion_jax.extras import DISTRIBUTION, version_of
from refusion_jax.weights.pretrained import pretrained_listing

EXAMPLES = """\
examples:
  refusion doctor
  refusion doctor --json

exit status: 0 if a tiny picture can be fused, 1 if not
"""
PACKAGES = (
    *("refusion-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"),
    *("pillow", "safetensors"),
)
# The packages of each extra that users need, as setup.cfg has them.
EXTRAS = {
    "serve": ("starlette", "uvicorn", "python-multipart"),
    "video": ("av",),
    "register": ("SimpleITK",),
    "medical": ("SimpleITK",),
    "tiff": ("tifffile", "imagecodecs"),
    "heic": ("pillow-heif",),
    "thermal": ("flyr",),
    "classical": ("opencv-python-headless",),
    "export": ("flatbuffers",),
    "completion": ("shtab",),
    "cluster": ("ray", "fsspec"),
    "tensorboard": ("tensorboardX",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
    "demo": ("scikit-image", "scipy", "matplotlib"),
    "data": ("tensorflow-datasets", "array-record", "grain", "filelock"),
}
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
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, for bug reports"
    )
    add_cache_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints one fact per line; the last states whether fusion works.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 if the tiny picture could be fused, 1 if not.
    """
    facts: dict[str, str] = {}

    def tell(name: str, fact: str) -> None:
        facts[name] = fact
        if not arguments.json:
            say(f"{name}: {fact}")

    status = _examine(arguments, tell)
    if arguments.json:
        say(json.dumps(facts, indent=1))
    return status


def _examine(arguments: argparse.Namespace, tell: Callable[[str, str], None]) -> int:
    tell("python", f"{sys.version.split()[0]} on {platform.platform()}")
    for package in PACKAGES:
        tell(package, version_of(package) or "not installed")
    plugins = [f"{x} {version_of(x)}" for x in PLUGINS if version_of(x)]
    tell("accelerator plugin", ", ".join(plugins) or "none; JAX runs on the CPU")
    for extra, packages in EXTRAS.items():
        versions = [(package, version_of(package)) for package in packages]
        is_whole = all(version for _, version in versions)
        found = ", ".join(f"{package} {version}" for package, version in versions)
        cure = f"not installed: pip install '{DISTRIBUTION}[{extra}]'"
        tell(f"extra {extra}", found if is_whole else cure)
    tell("shipped weights", pretrained_listing())
    tell("memory", _memory())
    if is_terminal():
        complain("starting JAX, and fusing a tiny picture, which is compiled first ...")
    try:
        import jax

        from refusion_jax.devices.starting import start_failure

        set_up_jax(arguments)
        failure = start_failure()
        if failure is not None:
            tell("fusion", f"failed ({failure})")
            return 1
        tell("devices", _devices(jax.devices()))
        tell("compilation cache", _cache())
        tell("fusion", f"ok, {_fuse():.1f} s with compilation")
    # Any kind of error, because reporting what is wrong is what this command is for.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        tell("fusion", f"failed ({reason})")
        return 1
    return 0


def _memory() -> str:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.1f} GB"


def _devices(devices: Sequence[Any]) -> str:
    listed = ", ".join(map(str, devices))
    if len(devices) > 1 and devices[0].platform == "cpu":
        return f"{listed} (one device per core of this computer's CPU)"
    return listed


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
