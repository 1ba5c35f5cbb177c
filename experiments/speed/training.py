"""Part `training`: the meta-step and the fusion step, against PyTorch."""

from pathlib import Path
from typing import Any

from speed import material
from speed.contest import HUGE_PAGES, TUNED_ALLOCATOR, Entry, compete
from speed.results import Table, contest_table
from speed.rounds import Check
from speed.settings import Settings, scratch

BATCH, SIZE = 4, 128
WITHIN = Check(1e-3, relative=True)
LOSSES = ("fusion_loss", "reconstruction_loss")
META_CHECKS = dict.fromkeys((*LOSSES, "meta_grads"), WITHIN)
FUSION_CHECKS = dict.fromkeys((*LOSSES, "fusion_grads", "reconstruction_grads"), WITHIN)
OURS = "speed.ours:Training"
META_EAGER = "PyTorch, create_graph, as installed"
META_TUNED = "PyTorch, create_graph, tuned allocator"
REVERSE = "refusion-jax, reverse, as train.py"
FUSION_EAGER = "PyTorch, as installed"
META_TARGETS = {META_EAGER: 2.5, META_TUNED: 2.5, REVERSE: 2}
FUSION_TARGETS = {FUSION_EAGER: 2}


def meta_contenders(folder: Path) -> list[Entry]:
    """Lists everything that can make a meta-step on the folder's batches.

    Args:
      folder: with weights and batches.

    Returns:
      Ours first.
    """
    here = {"folder": str(folder)}

    def ours(mode: str, divided: bool) -> dict[str, Any]:
        return {**here, "step": "meta", "mode": mode, "divided": divided}

    torch = "peers.torch_steps:MetaStep"
    return [
        Entry(
            "refusion-jax, exact, as train.py", OURS, ours("exact", True), HUGE_PAGES
        ),
        Entry("refusion-jax, exact, 4 KiB pages", OURS, ours("exact", True)),
        Entry(
            "refusion-jax, exact, one device", OURS, ours("exact", False), HUGE_PAGES
        ),
        Entry(REVERSE, OURS, ours("reverse", True), HUGE_PAGES),
        Entry(META_EAGER, torch, here),
        Entry(META_TUNED, torch, here, TUNED_ALLOCATOR),
        Entry("PyTorch, create_graph, huge pages", torch, here, HUGE_PAGES),
    ]


def fusion_contenders(folder: Path) -> list[Entry]:
    """Lists everything that can make a fusion step on the folder's first batch.

    Args:
      folder: with weights and batches.

    Returns:
      Ours first.
    """
    here = {"folder": str(folder)}
    step, compiled = {**here, "step": "fusion"}, {**here, "compiled": True}
    torch = "peers.torch_steps:FusionStep"
    return [
        Entry("refusion-jax, as train.py", OURS, {**step, "divided": True}, HUGE_PAGES),
        Entry("refusion-jax, 4 KiB pages", OURS, {**step, "divided": True}),
        Entry("refusion-jax, one device", OURS, {**step, "divided": False}, HUGE_PAGES),
        Entry(FUSION_EAGER, torch, here),
        Entry("PyTorch, tuned allocator", torch, here, TUNED_ALLOCATOR),
        Entry("PyTorch, huge pages", torch, here, HUGE_PAGES),
        Entry("torch.compile, as installed", torch, compiled),
        Entry("torch.compile, tuned allocator", torch, compiled, TUNED_ALLOCATOR),
    ]


def measure(settings: Settings) -> list[Table]:
    """Measures the seconds per step, batch 4 of 128 x 128.

    Args:
      settings: of the command line.

    Returns:
      One table for the meta-step, one for the fusion step.
    """
    tables = []
    for name, contenders, checks, targets in (
        ("Meta-step", meta_contenders, META_CHECKS, META_TARGETS),
        ("Fusion step", fusion_contenders, FUSION_CHECKS, FUSION_TARGETS),
    ):
        with scratch() as folder:
            material.write_weights(folder)
            material.write_batches(folder, BATCH, SIZE)
            entries = settings.select(contenders(folder))
            outcome = compete(entries, checks, rounds=settings.rounds, folder=folder)
        tables.append(
            contest_table(
                f"{name}, batch {BATCH} of {SIZE} x {SIZE}",
                outcome,
                unit="step",
                targets=targets,
                differences_of="Losses and gradients",
            )
        )
    return tables
