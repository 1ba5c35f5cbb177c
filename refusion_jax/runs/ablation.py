"""Trains variants side by side on demo pairs, where the true picture is known."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from refusion_jax.data.demo_pairs import write_demo_pairs
from refusion_jax.data.pairs import find_pairs, read_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.evaluation.tables import Cell, Row, Table
from refusion_jax.files.atomic import replace_file
from refusion_jax.fusing.inference import fuse
from refusion_jax.pictures.codecs import read_picture, to_luminance, write_picture
from refusion_jax.runs.variants import expand, read_variant
from refusion_jax.training.config import Config, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.trainer import train

DEFAULT_VARIANTS = ("preset=paper", "preset=authors", "preset=default")
# What a run of a few minutes on two CPU cores needs, with any preset.
SCALE = {
    "crop_size": 48,
    "epochs": 6,
    "meta_steps": 10,
    "fusion_steps": 60,
    "learning_rate": 1e-3,
    "inner_learning_rate": 1e-3,
    "proposal_learning_rate": 2e-4,
}
COLUMNS = {
    "reconstruction_before": "held-out L_r before",
    "reconstruction_after": "after",
    "intensity_entropy": "entropy of w, bits",
    "gradient_entropy": "of v",
    "focus_psnr": "multi-focus: PSNR to the photograph, dB",
    "exposure_psnr": "multi-exposure: the same",
}


def ablate(
    variants: Sequence[str],
    workdir: Path,
    *,
    seeds: int,
    tell: Callable[[str], None],
    show: Callable[[Table], str] = to_markdown,
) -> str:
    """Runs all variants and seeds, and writes ablation.json and table.md.

    Args:
      variants: as for `expand`; all are read before anything is made.
      workdir: folder of the runs; those that are complete stay as they are.
      seeds: runs per variant, at least 1.
      tell: is told which run begins.
      show: formats the table for the reader; table.md is in Markdown.

    Returns:
      The table for the reader.

    Raises:
      ImportError, ValueError: for a variant that cannot be read, or a missing package.
      NonFiniteError, Interrupted: as `trainer.train` does.
    """
    if seeds < 1:
        raise ValueError(f"expected seeds of at least 1, got {seeds}; raise it.")
    configs = {text: read_variant(text, SCALE) for text in expand(variants)}
    split_cpu(min(config.data.batch_size for config in configs.values()))
    write_demo_pairs(workdir / "data")
    results: dict[str, list[dict[str, float]]] = {}
    for text, config in configs.items():
        results[text] = []
        for seed in range(seeds):
            run = workdir / f"{text.replace('/', '_')}_{seed}"
            tell(f"{text}, seed {seed}")
            seeded = with_fields(config, {"seed": seed})
            results[text].append(run_variant(seeded, workdir / "data", run))
    made = table(results)
    replace_file(
        workdir / "ablation.json", (json.dumps(results, indent=1) + "\n").encode()
    )
    replace_file(workdir / "table.md", to_markdown(made).encode())
    return show(made)


def run_variant(config: Config, data: Path, workdir: Path) -> dict[str, float]:
    """Trains one variant and measures it on the held-out pairs.

    Args:
      config: of the run.
      data: folder of the demo pairs.
      workdir: of the run.

    Returns:
      The numbers of `COLUMNS`.
    """
    training, held_out = (
        find_pairs(data / part / "a", data / part / "b") for part in ("train", "test")
    )
    train(config, read_pairs(training), workdir, held_out=read_pairs(held_out))
    lines = read_scalars(workdir / "scalars.jsonl")
    before, *_, after = (x for x in lines if x["stage"] == "validation")
    psnr = {}
    for pair in held_out:
        fused = fuse(pair.path_a, pair.path_b, weights=workdir)
        write_picture(workdir / f"{pair.stem}.png", fused)
        truth = read_picture(data / "test" / "truth" / f"{pair.stem}.png")
        psnr[f"{pair.stem.split('_')[-1]}_psnr"] = luminance_psnr(fused, truth)
    return {
        "reconstruction_before": before["reconstruction_loss"],
        "reconstruction_after": after["reconstruction_loss"],
        "intensity_entropy": after["intensity_weights_entropy"],
        "gradient_entropy": after["gradient_weights_entropy"],
        **psnr,
    }


def luminance_psnr(picture: np.ndarray, other: np.ndarray) -> float:
    """Computes the PSNR of two pictures' luminance.

    Args:
      picture, other: uint8, of the same size, grey or RGB.

    Returns:
      dB, with 255 as the peak.
    """
    difference = to_luminance(picture).astype(float) - to_luminance(other)
    return float(10 * np.log10(255**2 / np.mean(np.square(difference))))


def table(results: dict[str, list[dict[str, float]]]) -> Table:
    """Tabulates the means over the seeds, with the smallest and largest value.

    Args:
      results: one dictionary of numbers per seed, by variant.
    """
    rows = []
    for text, runs in results.items():
        cells = []
        for column in COLUMNS:
            values = [run[column] for run in runs]
            digits = 1 if "psnr" in column else 3
            mean, low, high = (
                f"{x:.{digits}f}"
                for x in (statistics.fmean(values), min(values), max(values))
            )
            spread = "" if len(values) == 1 else f" ({low} to {high})"
            cells.append(Cell(mean + spread))
        rows.append(Row(text, tuple(cells)))
    directions = tuple(int("psnr" in column) for column in COLUMNS)
    several = any(len(runs) > 1 for runs in results.values())
    notes = ("Means over the seeds (smallest to largest).",) if several else ()
    return Table(("variant", *COLUMNS.values()), directions, tuple(rows), notes)
