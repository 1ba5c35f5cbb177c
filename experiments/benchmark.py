"""Measures speed and memory: compares values, then takes medians of interleaved rounds.

    python experiments/benchmark.py inference --out=experiments/results/inference.json

Parts:
  inference: fusing one pair, against PyTorch and ONNX Runtime.
  training: the meta-step and the fusion step, against PyTorch.
  attribution: UAAFusion's attribution, against one gradient per class and point.
  joint: UAAFusion's joint step, against PyTorch.
  metrics: scoring fused pictures, against NumPy, SciPy and scikit-image.
  data: the two samplers, against the training steps they feed.
  memory: peak memory of fusing and training, and the memory XLA plans for.
  compile: seconds until the first picture, and to compile each step.
  scale: cost against picture size and batch size.
  modes: every mode of the meta-gradient, and K inner steps.
  roofline: operations and bytes of F and both steps against the device's ceilings.
  precision: how tf32 and bfloat16 change the pictures of --source_a and --source_b.
  all: every part except `precision`, into the folder --out.

Writes JSON, the same tables as Markdown beside it, and plots of `scale` and `modes`.
Contenders of inference, training and joint have their own processes; those with missing
libraries are left out and named: PyTorch and ONNX Runtime come with the extra `bench`.
"""

import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from absl import app, flags
from speed import plots
from speed.results import Table, describe_machine, write
from speed.settings import Settings

_OUT = flags.DEFINE_string(
    "out", None, "JSON file to write; for `all`, a folder.", required=True
)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Interleaved rounds.", lower_bound=1)
_CORES = flags.DEFINE_integer(
    "cores", None, "Cores to use. Default: all. Linux only.", lower_bound=1
)
_ONLY = flags.DEFINE_string(
    "only", "", "Pattern of contenders' names; ours always runs."
)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Weights of F for `inference`, `precision`. Default: fresh ones."
)
_SOURCE_A = flags.DEFINE_string("source_a", None, "Pictures for `precision`.")
_SOURCE_B = flags.DEFINE_string("source_b", None, "Pictures for `precision`.")
_SIZES = flags.DEFINE_list(
    "sizes", ["640x480", "256x256"], "WIDTHxHEIGHT of the pictures."
)
_MAX_MEGAPIXELS = flags.DEFINE_float(
    "max_megapixels", 24, "Largest picture of `scale`."
)
_MAX_BATCH = flags.DEFINE_integer("max_batch", 64, "Largest batch of `scale`.")
_MAX_INNER_STEPS = flags.DEFINE_integer(
    "max_inner_steps", 8, "Most inner steps of `modes`."
)

PARTS = {
    "inference": "inference",
    "training": "training",
    "attribution": "attributing",
    "joint": "joint",
    "metrics": "scoring",
    "data": "sampling",
    "memory": "memory",
    "compile": "compiling",
    "scale": "scale",
    "modes": "modes",
    "roofline": "roofline",
    "precision": "rounding",
}


def read_size(text: str) -> tuple[int, int]:
    """Reads WIDTHxHEIGHT.

    Args:
      text: such as 640x480.

    Returns:
      (height, width) in pixels.

    Raises:
      ValueError: for any other text.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise ValueError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}.")
    return int(match[2]), int(match[1])


def run_part(part: str, settings: Settings, out: Path) -> None:
    """Measures one part, prints and writes its tables.

    Args:
      part: one of `PARTS`.
      settings: of the command line.
      out: the JSON file.
    """
    before = describe_machine()
    measure: Callable[[Settings], list[Table]]
    measure = import_module(f"speed.{PARTS[part]}").measure
    tables = measure(settings)
    markdown = write(out, part, tables, rounds=settings.rounds, before=before)
    print(markdown)
    if part in ("scale", "modes"):
        plots.draw(tables, out.with_suffix(".svg"))


def main(argv: list[str]) -> int:
    """Measures one part, or all.

    Args:
      argv: the program's name and the part.

    Returns:
      0, or 1 if a size is not readable or contenders disagree.
    """
    if len(argv) != 2 or argv[1] not in (*PARTS, "all"):
        raise app.UsageError(
            f"Expected one of {', '.join((*PARTS, 'all'))}, got {argv[1:]}."
        )
    out = Path(_OUT.value)
    if _CORES.value:
        # Contenders are child processes, which inherit it.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-_CORES.value :])
    try:
        settings = Settings(
            rounds=_ROUNDS.value,
            only=_ONLY.value,
            weights=_WEIGHTS.value,
            source_a=_SOURCE_A.value,
            source_b=_SOURCE_B.value,
            sizes=[read_size(text) for text in _SIZES.value],
            max_megapixels=_MAX_MEGAPIXELS.value,
            max_batch=_MAX_BATCH.value,
            max_inner_steps=_MAX_INNER_STEPS.value,
        )
        if argv[1] != "all":
            run_part(argv[1], settings, out)
            return 0
        for part in (x for x in PARTS if x != "precision"):
            run_part(part, settings, out / f"{part}.json")
    except (ValueError, RuntimeError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
