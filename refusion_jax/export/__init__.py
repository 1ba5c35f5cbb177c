"""Export: the fusion network as a file that runs without this package."""

from refusion_jax.export.artefact import ExportedFusion, load_exported, read_metadata
from refusion_jax.export.jax_export import export_fusion
from refusion_jax.export.onnx_export import export_onnx, load_onnx

__all__ = [
    "ExportedFusion",
    "export_fusion",
    "export_onnx",
    "load_exported",
    "load_onnx",
    "read_metadata",
]
