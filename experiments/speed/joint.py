"""Part `joint`: UAAFusion's joint step, against the same networks in PyTorch."""

from pathlib import Path

import jax
import numpy as np
from peers import files

from refusion_jax.methods.registry import find
from refusion_jax.methods.uaafusion.nets.networks import init_params
from refusion_jax.weights.store import save_weights
from speed import material
from speed.contest import HUGE_PAGES, TUNED_ALLOCATOR, Entry, compete
from speed.results import Table, contest_table
from speed.rounds import Check
from speed.settings import Settings, scratch

BATCH, SIZE, CLASSES = 2, 96, 3
OURS, TORCH = "speed.guided:Joint", "peers.torch_unfolding:JointStep"
# Through attention over its own deviation float32 differs more than in plain networks.
CHECKS = {
    "total_loss": Check(1e-3, relative=True),
    "fusion_grads": Check(5e-2, relative=True),
    "segmentation_grads": Check(5e-2, relative=True),
}
EAGER, TUNED = "PyTorch, as installed", "PyTorch, tuned allocator"


def measure(settings: Settings) -> list[Table]:
    """Measures the seconds per joint step with two classes and five points.

    Args:
      settings: of the command line.

    Returns:
      One table.
    """
    with scratch() as folder:
        write_material(folder)
        here = {"folder": str(folder)}
        entries = [
            Entry("refusion-jax, as train.py", OURS, here, HUGE_PAGES),
            Entry("refusion-jax, 4 KiB pages", OURS, here),
            Entry(EAGER, TORCH, here),
            Entry(TUNED, TORCH, here, TUNED_ALLOCATOR),
        ]
        chosen = settings.select(entries)
        outcome = compete(chosen, CHECKS, rounds=settings.rounds, folder=folder)
    return [
        contest_table(
            f"Joint step, batch {BATCH} of {SIZE} x {SIZE}, two classes, five points",
            outcome,
            unit="step",
            differences_of="Loss and gradients",
        )
    ]


def write_material(folder: Path) -> None:
    """Writes fresh networks, a batch and its labels, halves of two classes.

    Args:
      folder: an existing one.
    """
    params = init_params(jax.random.key(0), classes=CLASSES)
    save_weights(folder / files.WEIGHTS, params, method=find("uaafusion"))
    a, b = (material.scenes(seed, BATCH, SIZE, SIZE) for seed in (0, 1))
    labels = np.ones((BATCH, SIZE, SIZE), np.uint8)
    labels[:, :, SIZE // 2 :] = 2
    rate = np.float64(material.LEARNING_RATE)
    np.savez(
        folder / files.INPUTS, source_a=a, source_b=b, labels=labels, learning_rate=rate
    )
