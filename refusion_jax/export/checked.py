"""Exports weights, runs the file and compares it with the network."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from refusion_jax.export.artefact import load_exported, metadata_file
from refusion_jax.export.function import difference
from refusion_jax.export.jax_export import export_fusion
from refusion_jax.files.atomic import check_folder_of
from refusion_jax.files.checksums import sha256_of
from refusion_jax.weights.pretrained import suitable_range
from refusion_jax.weights.store import load_model, weights_file

TOLERANCE = 1e-4
ENDINGS = (".jax", ".onnx")


class ExportError(ValueError):
    """Raised when an exported file does not give what the network gives."""


def export_checked(
    place: str | os.PathLike[str],
    out: Path,
    *,
    colour: str,
    output_range: str | None = None,
    task: str | None = None,
) -> list[str]:
    """Writes F with its weights to a file and checks it on a size that is new to it.

    Args:
      place: of the weights, as `weights.store.load_model` takes it.
      out: NAME.jax (needs flatbuffers) or NAME.onnx (needs jax2onnx, onnxruntime).
      colour: one of `pictures.names.COLOURS`.
      output_range: one of `pictures.ranges.RANGES`, read with `colour` of inside; None
        for the rule that suits the weights.
      task: a note on what the weights are for.

    Returns:
      Lines that say what is written and how far it is from the network.

    Raises:
      FileNotFoundError, ImportError, ValueError: for what cannot be read or written.
      ExportError: if the file does not give what the network gives.
    """
    if out.suffix not in ENDINGS:
        raise ValueError(
            f"expected a name ending in {' or '.join(ENDINGS)}, got {out}; rename it."
        )
    check_folder_of(out)
    # jax2onnx's own library warns of each small constant.
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    weights = weights_file(place)
    model = load_model(weights)
    name = Path(place).resolve().name
    notes: dict[str, Any] = {"weights": {"name": name, "sha256": sha256_of(weights)}}
    if task is not None:
        notes["task"] = task
    output_range = output_range or suitable_range(place)
    rules = {"colour": colour, "output_range": output_range}
    started = time.perf_counter()
    if out.suffix == ".onnx":
        from refusion_jax.export.onnx_export import export_onnx, load_onnx

        record = export_onnx(model, out, **rules, notes=notes)
        fuse = load_onnx(out).fuse
    else:
        record = export_fusion(model, out, **rules, notes=notes)
        fuse = load_exported(out).fuse
    seconds = time.perf_counter() - started
    error = difference(model, fuse, **rules)
    if not error <= TOLERANCE:
        raise ExportError(
            f"expected a difference of at most {TOLERANCE}, got {error}; do not use "
            f"{out}."
        )
    return [
        f"{out}: {record['bytes']:,} bytes in {seconds:.1f} s",
        f"{metadata_file(out)}: inputs, output, versions, checksums",
        f"largest difference from the network: {error:.1e}",
    ]
