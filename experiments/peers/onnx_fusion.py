"""ONNX Runtime as a contender: F exported from the PyTorch network."""

import os
from pathlib import Path

import numpy as np
from peers import files


def export(folder: str) -> None:
    """Writes F for the folder's pictures as an ONNX file.

    Runs in a process of its own, so that PyTorch is not loaded beside ONNX Runtime.

    Args:
      folder: as `files` describes it.
    """
    import torch
    from peers.torch_networks import Fusion, load

    network = load(Fusion(), files.read_leaves(folder)["fusion"]).eval()
    inputs = files.read_inputs(folder)
    sources = tuple(
        torch.from_numpy(np.moveaxis(inputs[x], -1, 1).copy())
        for x in ("source_a", "source_b")
    )
    torch.onnx.export(
        network,
        sources,
        Path(folder) / files.ONNX,
        input_names=["source_a", "source_b"],
        output_names=["fused"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )


class Inference:
    """F on one batch of pairs."""

    def __init__(self, folder: str) -> None:
        """Loads the exported F and the pictures.

        Args:
          folder: as `files` describes it, after `export`.
        """
        import onnxruntime

        preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
        available = onnxruntime.get_available_providers()
        options = onnxruntime.SessionOptions()
        # ONNX Runtime would count cores that this process may not use.
        if hasattr(os, "sched_getaffinity"):
            options.intra_op_num_threads = len(os.sched_getaffinity(0))
        self._session = onnxruntime.InferenceSession(
            Path(folder) / files.ONNX,
            options,
            providers=[name for name in preferred if name in available],
        )
        inputs = files.read_inputs(folder)
        self._sources = {
            name: np.moveaxis(inputs[name], -1, 1).copy()
            for name in ("source_a", "source_b")
        }

    def first(self) -> dict[str, np.ndarray]:
        """Returns the fused pictures."""
        (fused,) = self._session.run(None, self._sources)
        return {"fused": np.moveaxis(fused, 1, -1)}

    def run(self) -> None:
        """Fuses once."""
        self._session.run(None, self._sources)
