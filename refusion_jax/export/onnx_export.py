"""The fusion network as an ONNX file, for programs without Python.

jax2onnx and onnxruntime are not dependencies of this package: jax2onnx requires another
version of Orbax than training does, so both live in an environment of their own.
"""

import os
from collections.abc import Mapping
from importlib import metadata as distributions
from typing import Any

import jax
import numpy as np

from refusion_jax.export.artefact import ExportedFusion, read_metadata
from refusion_jax.export.function import FusionFunction, Lowered, write_export
from refusion_jax.methods.protocol import FusionModel

OPSET = 21


def export_onnx(
    model: FusionModel,
    path: str | os.PathLike[str],
    *,
    colour: str = "outside",
    output_range: str = "stretch",
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes F as an ONNX file for any batch, height and width, and JSON beside it.

    Args:
      model: what fuses.
      path: ends in `.onnx`; an existing file is replaced. The JSON is `path` + ".json".
      colour, output_range, notes: as for `function.write_export`.

    Returns:
      The content of the JSON.

    Raises:
      ImportError: if jax2onnx is not installed.
      ValueError: if the name or a rule cannot be used.
    """
    return write_export(
        model,
        path,
        _lower,
        ending=".onnx",
        fuse_grey=model.plainly,
        colour=colour,
        output_range=output_range,
        notes=notes,
    )


def _lower(function: FusionFunction, pictures: jax.ShapeDtypeStruct) -> Lowered:
    try:
        import jax2onnx
    except ImportError as error:
        raise _missing("jax2onnx, which writes ONNX files", error) from error
    graph = jax2onnx.to_onnx(
        function,
        inputs=[pictures, pictures],
        model_name="refusion",
        opset=OPSET,
        input_names=["source_a", "source_b"],
        output_names=["fused"],
    )
    versions = {"jax2onnx": distributions.version("jax2onnx")}
    return Lowered(graph.SerializeToString(), {"opset": OPSET}, versions)


def load_onnx(path: str | os.PathLike[str]) -> ExportedFusion:
    """Loads an ONNX file of `export_onnx` into ONNX Runtime, on the CPU.

    Args:
      path: of the file; the JSON must be beside it.

    Returns:
      Its function, of NumPy arrays, and its metadata.

    Raises:
      FileNotFoundError: if the file or its JSON is missing.
      ImportError: if onnxruntime is not installed.
      ValueError: if it is damaged.
    """
    metadata = read_metadata(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime, which runs ONNX files", error) from error
    session = onnxruntime.InferenceSession(
        os.fspath(path), providers=["CPUExecutionProvider"]
    )

    def fuse(source_a: np.ndarray, source_b: np.ndarray) -> np.ndarray:
        feeds = {"source_a": np.asarray(source_a), "source_b": np.asarray(source_b)}
        return session.run(["fused"], feeds)[0]

    return ExportedFusion(fuse, metadata)


def _missing(what: str, error: ImportError) -> ImportError:
    return ImportError(
        f"expected the package {what}, got none ({error}); it needs an older Orbax "
        "than training: in an environment of its own, pip install jax2onnx onnxruntime "
        "pillow platformdirs pyyaml safetensors jaxtyping absl-py tqdm, then pip "
        "install --no-deps refusion-jax."
    )
