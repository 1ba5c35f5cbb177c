"""`refusion info`: what a weight file, a run, a checkpoint or an export holds."""

import argparse
import json
from pathlib import Path

EXAMPLES = """\
examples:
  refusion info ReFusion_IVIF.pth
  refusion info runs/msrs
  refusion info runs/msrs/checkpoints/96800
  refusion info msrs.onnx

exit status: 0 if it can be read, 2 if not
"""
# What a checkpoint notes beside its arrays: settings and checksums, as JSON.
CHECKPOINT_RECORD = Path("record/metadata")
EXPORTS = (".jax", ".onnx")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describes the arguments.

    Args:
      commands: where the parser goes.
    """
    parser = commands.add_parser(
        "info",
        help="say what a weight file or a run holds",
        description="Say what a weight file, a training run, one of its "
        "checkpoints or an export holds: networks, parameters, hash, notes, steps.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "place",
        type=Path,
        metavar="FILE",
        help=".pth, .safetensors, run folder, checkpoint, .jax or .onnx",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line a fact.

    Args:
      arguments: as `add_parser` describes them.

    Returns:
      0.

    Raises:
      OSError, ValueError: if it cannot be read.
    """
    if (arguments.place / CHECKPOINT_RECORD).is_file():
        return _print_checkpoint(arguments.place)
    if arguments.place.suffix in EXPORTS:
        return _print_export(arguments.place)
    from refusion_jax.files.checksums import sha256_of
    from refusion_jax.weights.store import (
        load_any_weights,
        parameter_count,
        weights_file,
    )

    if arguments.place.is_dir():
        _print_run(arguments.place)
    weights = load_any_weights(arguments.place)
    file = weights_file(arguments.place)
    print(f"weights: {file} ({file.stat().st_size:,} bytes)")
    print(f"sha256: {sha256_of(file)}")
    for name, tree in weights.trees.items():
        remark = weights.method.remark(name, tree)
        parts = f" ({remark})" if remark else ""
        print(f"{name}: {parameter_count(tree):,} parameters{parts}")
    for name, text in sorted(weights.metadata.items()):
        _print_note(name, text)
    return 0


def _print_run(folder: Path) -> None:
    checkpoints = folder / "checkpoints"
    names = [x.name for x in checkpoints.iterdir()] if checkpoints.is_dir() else []
    steps = sorted(int(name) for name in names if name.isdecimal())
    print(f"run: {folder}")
    print(f"checkpoints: {', '.join(f'step {x}' for x in steps) or 'none'}")


def _print_checkpoint(folder: Path) -> int:
    path = folder / CHECKPOINT_RECORD
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected the notes of a checkpoint, got {error} in {path}; name another."
        ) from error
    print(f"checkpoint: step {folder.resolve().name} in {folder}")
    for name, text in sorted(record.items()):
        _print_note(name, json.dumps(text))
    return 0


def _print_export(path: Path) -> int:
    """The JSON beside it, once its checksum holds."""
    from refusion_jax.export.artefact import read_metadata

    print(f"export: {path}")
    for name, value in read_metadata(path).items():
        _print_note(name, value if isinstance(value, str) else json.dumps(value))
    return 0


def _print_note(name: str, text: str) -> None:
    """One line, or, of a JSON object, one line an entry."""
    try:
        entries = json.loads(text)
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        print(f"{name}: {' '.join(text.split())}")
        return
    for key, value in entries.items():
        print(f"{name}.{key}: {json.dumps(value)}")
