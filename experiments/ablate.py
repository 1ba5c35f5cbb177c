"""Trains variants side by side at demo scale, where the true picture is known.

    python experiments/ablate.py --workdir=runs/presets
    python experiments/ablate.py --workdir=runs/orders --variant=meta_gradient=exact \
        --variant=meta_gradient=first_order --variant=loss_weights=equal,meta_steps=0

A variant is `field=value,...` on top of the scale of `configs/demo.py`; `preset=NAME`
is one of the fields (`default` if not given). Every variant runs with every seed on the
same pairs: photographs blurred or exposed twice (`data.demo_pairs`), so that the fused
picture can be compared with the photograph. The same command resumes a stopped run.
Writes ablation.json and table.md into the workdir and prints the table.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from configs.demo import SCALE
from launch import launch

from refusion_jax.data.demo_pairs import write_demo_pairs
from refusion_jax.data.pairs import find_pairs, read_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.fusing.inference import fuse
from refusion_jax.pictures.codecs import read_picture, to_luminance, write_picture
from refusion_jax.training.config import Config, preset, to_flat, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError, train

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", required=True)
_VARIANTS = flags.DEFINE_multi_string(
    "variant",
    ["preset=paper", "preset=authors", "preset=default"],
    "field=value,...; repeat the flag for further variants.",
)
_SEEDS = flags.DEFINE_integer("seeds", 2, "Runs per variant.", lower_bound=1)
COLUMNS = {
    "reconstruction_before": "held-out L_r before",
    "reconstruction_after": "after",
    "intensity_entropy": "entropy of w, bits",
    "gradient_entropy": "of v",
    "focus_psnr": "multi-focus: PSNR to the photograph, dB",
    "exposure_psnr": "multi-exposure: the same",
}


def main() -> int:
    """Runs all variants and seeds and writes the table.

    Returns:
      0 when the table is written.
    """
    workdir = Path(_WORKDIR.value)
    configs = {text: read_variant(text) for text in _VARIANTS.value}
    split_cpu(min(config.data.batch_size for config in configs.values()))
    write_demo_pairs(workdir / "data")
    results: dict[str, list[dict[str, float]]] = {}
    for text, config in configs.items():
        results[text] = []
        for seed in range(_SEEDS.value):
            run = workdir / f"{text.replace('/', '_')}_{seed}"
            print(f"{text}, seed {seed}", file=sys.stderr)
            seeded = with_fields(config, {"seed": seed})
            results[text].append(run_variant(seeded, workdir / "data", run))
    (workdir / "ablation.json").write_text(json.dumps(results, indent=1) + "\n")
    text = table(results)
    (workdir / "table.md").write_text(text)
    print(text, end="")
    return 0


def read_variant(text: str) -> Config:
    """Reads the config of a variant.

    Args:
      text: `field=value,...`, with fields of the config and `preset`.

    Returns:
      The preset at demo scale with the given fields.

    Raises:
      ValueError: for an unknown field, or a value of the wrong type.
    """
    given = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"expected field=value,..., got {item!r} in {text!r}.")
        given[name.strip()] = value.strip()
    base = with_fields(preset(given.pop("preset", "default")), SCALE)
    defaults = {**to_flat(base), "fixed_weights": False}  # an older form is understood
    values: dict[str, Any] = {}
    for name, value in given.items():
        kind = type(defaults.get(name, ""))
        try:
            values[name] = _truth(value) if kind is bool else kind(value)
        except ValueError as error:
            raise ValueError(
                f"expected {name} of type {kind.__name__}, got {value!r} in {text!r}."
            ) from error
    return with_fields(base, values)


def _truth(text: str) -> bool:
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


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
    state = train(config, read_pairs(training), workdir, held_out=read_pairs(held_out))
    lines = read_scalars(workdir / "scalars.jsonl")
    before, *_, after = (x for x in lines if x["stage"] == "validation")
    psnr = {}
    for pair in held_out:
        fused = fuse(pair.path_a, pair.path_b, weights=state.params.fusion)
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


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """Formats the means over the seeds, with the smallest and largest value.

    Args:
      results: one dictionary of numbers per seed, by variant.

    Returns:
      The table, in Markdown.
    """
    lines = ["| variant | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for text, runs in results.items():
        cells = []
        for column in COLUMNS:
            values = [run[column] for run in runs]
            digits = 1 if "psnr" in column else 3
            mean, low, high = (
                f"{x:.{digits}f}"
                for x in (statistics.fmean(values), min(values), max(values))
            )
            cells.append(mean if len(values) == 1 else f"{mean} ({low} to {high})")
        lines.append(f"| `{text}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, NonFiniteError, Interrupted)
