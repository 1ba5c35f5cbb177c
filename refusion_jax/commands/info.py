"""`refusion info`: prints what weights, runs, checkpoints and exports hold."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from refusion_jax.commands.messages import say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.weights.cards import read_card
from refusion_jax.weights.pretrained import pretrained_listing, record_beside

if TYPE_CHECKING:
    from refusion_jax.methods.protocol import Method

EXAMPLES = """\
examples:
  refusion info ReFusion_IVIF.pth
  refusion info ivif
  refusion info runs/msrs
  refusion info runs/msrs/checkpoints/96800
  refusion info msrs.onnx

exit status: 0 if it can be read, 2 if not
"""
# A checkpoint's JSON file of settings and checksums, beside its arrays.
CHECKPOINT_RECORD = Path("record/metadata")
EXPORTS = (".jax", ".onnx")


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "info",
        run,
        summary="print what a weight file or a run holds",
        description="Print what a weight file, a training run, one of its checkpoints "
        "or an export holds: networks, parameters, checksum, metadata, steps; of "
        "weights that come with the package, also their card.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "place",
        type=Path,
        metavar="FILE",
        help=".pth, .safetensors, run folder, checkpoint, .jax, .onnx, or the name of "
        f"weights that come with the package: {pretrained_listing()}",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints one fact per line.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0.

    Raises:
      OSError, ValueError: if the file or folder cannot be read.
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
    card = _print_card(arguments.place, weights_file(arguments.place))
    weights = load_any_weights(arguments.place)
    if arguments.place.is_dir():
        _print_verdict(arguments.place, weights.method)
    file = weights_file(arguments.place)
    say(f"weights: {file} ({file.stat().st_size:,} bytes)")
    say(f"sha256: {sha256_of(file)}")
    for name, tree in weights.trees.items():
        remark = weights.method.remark(name, tree)
        parts = f" ({remark})" if remark else ""
        say(f"{name}: {parameter_count(tree):,} parameters{parts}")
    try:
        make = weights.method.model
        make(weights.trees, str(file), weights.metadata).require_maps()
    except ValueError as error:
        say(f"maps: none, --maps will not work ({error})")
    for name, text in sorted(weights.metadata.items()):
        _print_note(name, text)
    if card:
        say("\n" + card.rstrip("\n"))
    return 0


def _print_card(place: Path, file: Path) -> str:
    """Prints the facts of the card that weights have, and returns its Markdown."""
    if not (record := record_beside(file)):
        return ""
    is_shipped = not place.exists()
    title = f"shipped: {record.name} ({record.title})"
    say(title if is_shipped else f"card: {record.title}")
    say(f"sources: {', '.join(record.sources)}")
    say(f"license: {record.license}")
    return read_card(record.card)[1]


def _print_run(folder: Path) -> None:
    checkpoints = folder / "checkpoints"
    names = [x.name for x in checkpoints.iterdir()] if checkpoints.is_dir() else []
    steps = sorted(int(name) for name in names if name.isdecimal())
    say(f"run: {folder}")
    say(f"checkpoints: {', '.join(f'step {x}' for x in steps) or 'none'}")


def _print_verdict(folder: Path, method: "Method") -> None:
    """Prints what is wrong with what a run has learned, if anything is."""
    from refusion_jax.training.scalars import read_scalars

    lines = read_scalars(folder / "scalars.jsonl")
    validations = [line for line in lines if line["stage"] == "validation"]
    # The first is of the networks before any step.
    if len(validations) > 1 and (sentence := method.verdict(validations[-1])):
        say(f"learned: {sentence}")


def _print_checkpoint(folder: Path) -> int:
    path = folder / CHECKPOINT_RECORD
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected the metadata of a checkpoint, got {error} in {path}; name "
            "another checkpoint."
        ) from error
    say(f"checkpoint: step {folder.resolve().name} in {folder}")
    for name, text in sorted(record.items()):
        _print_note(name, json.dumps(text))
    return 0


def _print_export(path: Path) -> int:
    """Prints the metadata in the JSON file beside an export, after checking its sum."""
    from refusion_jax.export.artefact import read_metadata

    say(f"export: {path}")
    for name, value in read_metadata(path).items():
        _print_note(name, value if isinstance(value, str) else json.dumps(value))
    return 0


def _print_note(name: str, text: str) -> None:
    """Prints a note on one line; if it is a JSON object, one line per entry."""
    try:
        entries = json.loads(text)
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        say(f"{name}: {' '.join(text.split())}")
        return
    for key, value in entries.items():
        say(f"{name}.{key}: {json.dumps(value)}")
