"""Part `inference`: fusing one pair, against PyTorch and ONNX Runtime."""

import sys
from pathlib import Path

from speed import material
from speed.contest import TUNED_ALLOCATOR, Entry, compete, one_worker
from speed.results import Table, contest_table
from speed.rounds import Check
from speed.settings import Settings, scratch

CHECKS = {"fused": Check(1e-5, relative=False)}
EAGER = "PyTorch, as installed"
TUNED = "PyTorch, tuned allocator"
COMPILED = "torch.compile, as installed"
COMPILED_TUNED = "torch.compile, tuned allocator"
ONNX = "ONNX Runtime"
TARGETS = {
    (480, 640): {EAGER: 8, TUNED: 2.5, ONNX: 1.9},
    (256, 256): {EAGER: 5, TUNED: 2.5, ONNX: 1.6},
}


def contenders(folder: Path) -> list[Entry]:
    """Lists everything that can fuse the folder's pictures.

    Args:
      folder: with weights and pictures.

    Returns:
      Ours first.
    """
    here = {"folder": str(folder)}
    torch, compiled = "peers.torch_steps:Inference", {**here, "compiled": True}
    return [
        Entry("refusion-jax, cores as devices", "speed.ours:Inference", here),
        Entry("refusion-jax, jitted forward", "speed.ours:Forward", here),
        Entry(EAGER, torch, here),
        Entry(TUNED, torch, here, TUNED_ALLOCATOR),
        Entry(COMPILED, torch, compiled),
        Entry(COMPILED_TUNED, torch, compiled, TUNED_ALLOCATOR),
        Entry(ONNX, "peers.onnx_fusion:Inference", here),
    ]


def prepare(settings: Settings, folder: Path, height: int, width: int) -> list[Entry]:
    """Writes the contenders' inputs.

    Args:
      settings: of the command line.
      folder: to write into.
      height, width: of the pictures.

    Returns:
      The contenders that are selected and can run.
    """
    material.write_weights(folder, settings.weights)
    material.write_pair(folder, 1, height, width)
    entries = settings.select(contenders(folder))
    if any(entry.name == ONNX for entry in entries):
        try:
            with one_worker() as call:
                call("peers.onnx_fusion:export", folder=str(folder))
        except ImportError as error:
            print(f"benchmark: {ONNX} is left out: {error}", file=sys.stderr)
            entries = [entry for entry in entries if entry.name != ONNX]
    return entries


def measure(settings: Settings) -> list[Table]:
    """Measures the seconds per picture.

    Args:
      settings: of the command line.

    Returns:
      One table per size.
    """
    tables = []
    for height, width in settings.sizes:
        with scratch() as folder:
            entries = prepare(settings, folder, height, width)
            outcome = compete(entries, CHECKS, rounds=settings.rounds, folder=folder)
        tables.append(
            contest_table(
                f"F on one pair of {width} x {height}",
                outcome,
                unit="picture",
                targets=TARGETS.get((height, width), {}),
                differences_of="Fused pictures",
            )
        )
    return tables
