"""Writes F with its weights to one file that runs without this package.

    python experiments/export.py --weights=runs/msrs --out=msrs.jax
    python experiments/export.py --weights=runs/msrs --out=msrs_rgb.jax --colour=inside
    python experiments/export.py --weights=runs/msrs --out=msrs.onnx

The ending selects the format: `.jax` for `jax.export` (needs flatbuffers), `.onnx` for
ONNX (needs jax2onnx and onnxruntime, in a separate environment). The file is then run
on a pair of a size the export has not seen, and compared with the network.
`refusion export` does the same.
"""

from pathlib import Path

from absl import flags
from launch import launch

from refusion_jax.export.checked import export_checked
from refusion_jax.pictures.names import COLOURS, RANGES

_WEIGHTS = flags.DEFINE_string(
    "weights",
    None,
    "Run folder, .safetensors, .pth, or the name of weights of the package.",
    required=True,
)
_OUT = flags.DEFINE_string("out", None, "NAME.jax or NAME.onnx.", required=True)
_COLOUR = flags.DEFINE_enum(
    "colour",
    COLOURS[0],
    COLOURS,
    "outside: luminance in, F's own output out; inside: RGB in, RGB out.",
)
_RANGE = flags.DEFINE_enum(
    "range", None, RANGES, "With --colour=inside; default: what suits the weights."
)
_TASK = flags.DEFINE_string("task", None, "A note on what the weights are for.")


def main() -> int:
    """Exports, checks, and reports.

    Returns:
      0 when the file is written.
    """
    lines = export_checked(
        _WEIGHTS.value,
        Path(_OUT.value),
        colour=_COLOUR.value,
        output_range=_RANGE.value,
        task=_TASK.value,
    )
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    launch(main, ImportError)
