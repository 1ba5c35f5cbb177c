"""Writes F with its weights to one file that runs without this package.

    python experiments/export.py --weights=runs/msrs --out=msrs.jax
    python experiments/export.py --weights=runs/msrs --out=msrs_rgb.jax --colour=inside
    python experiments/export.py --weights=runs/msrs --out=msrs.onnx

The ending selects the format: `.jax` for `jax.export` (needs flatbuffers), `.onnx` for
ONNX (needs jax2onnx and onnxruntime, in a separate environment). The file is then run
on a pair of a size the export has not seen, and compared with the network.
"""

import logging
import time
from pathlib import Path
from typing import Any

from absl import flags
from launch import launch

from refusion_jax.export.artefact import load_exported, metadata_file
from refusion_jax.export.jax_export import COLOURS, difference, export_fusion
from refusion_jax.files.checksums import sha256_of
from refusion_jax.pictures.ranges import RANGES
from refusion_jax.weights.store import load_model, weights_file

_WEIGHTS = flags.DEFINE_string(
    "weights",
    None,
    "Run folder, .safetensors, .pth, or the name of weights of the package.",
    required=True,
)
_OUT = flags.DEFINE_string("out", None, "NAME.jax or NAME.onnx.", required=True)
_COLOUR = flags.DEFINE_enum(
    "colour",
    "outside",
    COLOURS,
    "outside: luminance in, F's own output out; inside: RGB in, RGB out.",
)
_RANGE = flags.DEFINE_enum(
    "range", "stretch", RANGES, "With --colour=inside: see README, --range."
)
_TASK = flags.DEFINE_string("task", None, "A note on what the weights are for.")

TOLERANCE = 1e-4


def main() -> int:
    """Exports, checks, and reports.

    Returns:
      0 when the file is written.

    Raises:
      ValueError: if the file does not give what the network gives.
    """
    # jax2onnx's own library warns of each small constant.
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    out, weights = Path(_OUT.value), weights_file(_WEIGHTS.value)
    model = load_model(weights)
    name = Path(_WEIGHTS.value).resolve().name
    notes: dict[str, Any] = {"weights": {"name": name, "sha256": sha256_of(weights)}}
    if _TASK.value is not None:
        notes["task"] = _TASK.value
    rules = {"colour": _COLOUR.value, "output_range": _RANGE.value}
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
    print(f"{out}: {record['bytes']:,} bytes in {seconds:.1f} s")
    print(f"{metadata_file(out)}: inputs, output, versions, checksums")
    print(f"largest difference from the network: {error:.1e}")
    if not error <= TOLERANCE:
        raise ValueError(
            f"expected a difference of at most {TOLERANCE}, got {error}; do not use "
            "this file."
        )
    return 0


if __name__ == "__main__":
    launch(main, ImportError)
