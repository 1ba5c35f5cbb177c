"""The part of `refusion fuse` for medical volumes."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from refusion_jax.commands.messages import complain, say
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.names import AXES, PALETTES

# Options that only pictures have.
_BATCH_DEFAULTS = {
    **dict.fromkeys(("maps", "resume", "dry_run", "json", "recursive"), False),
    **dict.fromkeys(("ext", "quality", "max_pixels")),
    **{"overwrite": True, "engine": "local", "pair": "name"},
}


def add_volume_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only volumes have.

    Args:
      parser: of `refusion fuse`.
    """
    parser.add_argument(
        "--window",
        metavar="RULE",
        help="of volumes: values that become black and white, CENTRE:WIDTH, min-max, "
        "percentile, or auto (the DICOM's own, else percentile; the default); two with "
        "a comma between, one for each source",
    )
    parser.add_argument(
        "--axis", choices=AXES, help="of volumes: how slices are cut (default axial)"
    )
    parser.add_argument(
        "--palette",
        choices=PALETTES,
        help="of volumes: colours of the first source (default grey)",
    )


def refuse_volume_options(arguments: argparse.Namespace) -> None:
    """Raises if an option of volumes is given with other sources.

    Args:
      arguments: of `refusion fuse`.

    Raises:
      ValueError: naming the option.
    """
    for name in ("window", "axis", "palette"):
        if getattr(arguments, name) is not None:
            raise ValueError(
                f"expected volumes with --{name}, got other sources; leave it out."
            )


def refuse_batch_options(arguments: argparse.Namespace, sources: str) -> None:
    """Raises if an option that only pictures have is given with other sources.

    Args:
      arguments: of `refusion fuse`.
      sources: what they are instead.

    Raises:
      ValueError: naming the options.
    """
    given = [
        "no_overwrite" if name == "overwrite" else name
        for name, default in _BATCH_DEFAULTS.items()
        if getattr(arguments, name) != default
    ]
    if given:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(
            f"expected pictures with {names}, got {sources}; leave {names} out."
        )


def fuse_volumes(
    arguments: argparse.Namespace, sources: Sequence[Path], weights: Path
) -> int:
    """Fuses two volumes.

    Args:
      arguments: of `refusion fuse`.
      sources: two volumes.
      weights: what fuses them.

    Returns:
      0 if the volume is written, 1 if it failed.

    Raises:
      OSError, ValueError: if the arguments cannot be used.
    """
    from refusion_jax.fusing import volumes
    from refusion_jax.weights.store import as_model

    windows = (arguments.window or "auto").split(",")
    if len(windows) > 2:
        raise ValueError(
            f"expected one window or two, got {arguments.window}; leave some out."
        )
    output = Path(arguments.output)
    model = as_model(weights)
    try:
        made = volumes.fuse_volumes(
            model,
            sources,
            output,
            windows=(windows[0], windows[-1]),
            axis=arguments.axis or AXES[0],
            palette=arguments.palette or PALETTES[0],
        )
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        complain(error)
        return 1
    if arguments.quiet:
        return 0
    say(f"{output} {'x'.join(map(str, made.size))}, {made.fused} slices fused")
    if made.kept:
        complain(
            f"{made.kept} slices are left as they are in {sources[1]}, because "
            f"{sources[0]} does not show them."
        )
    return 0


def check_volumes(arguments: argparse.Namespace, sources: Sequence[Path]) -> None:
    """Raises unless two volumes can be fused into the output.

    Args:
      arguments: of `refusion fuse`.
      sources: as named.

    Raises:
      OSError, ValueError: naming what is wrong, before anything is read.
    """
    from refusion_jax.pictures.volumes import check_volume_output, is_volume

    others = [source for source in sources if not is_volume(source)]
    if others or len(sources) != 2:
        raise ValueError(
            f"expected two volumes, got {len(sources) - len(others)} among "
            f"{', '.join(map(str, sources))}; name one functional or CT volume and one "
            "of MRI."
        )
    check_volume_output(Path(arguments.output))
    if Path(arguments.output).resolve() in {source.resolve() for source in sources}:
        raise ValueError(
            f"expected an output other than the sources, got {arguments.output}; name "
            "another file."
        )
    refuse_batch_options(arguments, "volumes")
    _refuse_rules(arguments)


def _refuse_rules(arguments: argparse.Namespace) -> None:
    """Raises if an option is given that says how pictures are fused."""
    defaults = {rule.name: rule.default for rule in dataclasses.fields(Rules)}
    defaults |= {"output_range": None, "fast": False}
    for name, default in defaults.items():
        if getattr(arguments, name) != default:
            option = "--range" if name == "output_range" else f"--{name}"
            raise ValueError(
                f"expected pictures with {option}, got volumes, which have windows "
                f"instead of such rules; leave {option} out."
            )
