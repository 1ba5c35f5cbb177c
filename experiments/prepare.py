"""Prepares a data set once, for fast reading: checked, counted, in shards.

    python experiments/prepare.py --dataset=msrs --source_dir=DOWNLOADS/MSRS
    python experiments/prepare.py --dataset=folder --source_a=MY/ir --source_b=MY/vis
    python experiments/prepare.py --dataset=demo

Nothing is downloaded: `--list` says where each set is published and how to arrange it.
Repeating the command reports the prepared set; an interrupted command starts over.
"""

import signal
import sys
from pathlib import Path
from typing import Any

from absl import flags
from launch import launch

from refusion_jax.data.catalogue import CATALOGUE
from refusion_jax.data.layout import SplitFolders
from refusion_jax.data.survey import describe

_DATASET = flags.DEFINE_enum("dataset", None, list(CATALOGUE), "What to prepare.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of prepared sets.")
_SOURCE_DIR = flags.DEFINE_string(
    "source_dir", None, "Folder with {train,test}/{FIRST,SECOND} of the data set."
)
_SOURCE_A = flags.DEFINE_string("source_a", None, "For folder: first sources.")
_SOURCE_B = flags.DEFINE_string("source_b", None, "For folder: second sources.")
_THIRD = flags.DEFINE_string("third", None, "For folder: masks or ground truth.")
_ALIGN = flags.DEFINE_string(
    "align", "none", "Two sizes in a pair: none is an error; crop; resize."
)
_LEVELS = flags.DEFINE_string(
    "levels", "full", "Range of 16-bit grey: full, min-max, percentile, LOW:HIGH."
)
_SCENE = flags.DEFINE_string(
    "scene", "", "Pattern whose first group in a stem is the scene, to find leaks."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the prepared set.")
_LIST = flags.DEFINE_bool("list", False, "List the data sets and exit.")

MAX_LEAKS = 20  # more are counted


def main() -> int:
    """Prepares the set and prints its contents.

    Returns:
      0 when the set is prepared, 128 plus the signal's number when a signal stopped it.
    """
    if _LIST.value:
        print("\n".join(_catalogue_lines()))
        return 0
    # Ends like Ctrl-C, so that a set begun is removed.
    signal.signal(signal.SIGTERM, _stop)
    try:
        _prepare()
    except KeyboardInterrupt as stop:
        print(
            "prepare: stopped, nothing is kept; the same command starts anew.",
            file=sys.stderr,
        )
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    return 0


def _prepare() -> None:
    from refusion_jax.data.builder import Reading, prepare, read_summary

    if _DATASET.value is None:
        raise ValueError(
            f"expected a data set, got none; give --dataset={'|'.join(CATALOGUE)}."
        )
    target = prepare(
        _DATASET.value,
        Path(_DATA_DIR.value),
        source_dir=_path(_SOURCE_DIR.value),
        folders=_own_folders(),
        reading=Reading(_ALIGN.value, _LEVELS.value, _SCENE.value),
        overwrite=_OVERWRITE.value,
    )
    print("\n".join(_report(_DATASET.value, target, read_summary(target))))


def _own_folders() -> dict[str, SplitFolders] | None:
    first, second, third = (
        _path(flag.value) for flag in (_SOURCE_A, _SOURCE_B, _THIRD)
    )
    if not (first or second or third):
        return None
    if _DATASET.value != "folder":
        raise ValueError(
            f"expected --source_dir with --dataset={_DATASET.value}, got single "
            "folders; they go with --dataset=folder."
        )
    if not (first and second):
        raise ValueError(
            "expected two folders, got one; give --source_a and --source_b."
        )
    return {"train": SplitFolders(first, second, third)}


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _report(name: str, target: Path, summary: dict[str, Any]) -> list[str]:
    lines = [f"{name}: prepared in {target}"]
    for split, numbers in summary["splits"].items():
        first, *rest = describe(numbers)
        lines += [f"  {split}: {first}", *(f"    {line}" for line in rest)]
    leaks = summary["leaks"]
    lines.append(f"  shared by train and test: {len(leaks) or 'nothing found'}")
    lines += [f"    {leak}" for leak in leaks[:MAX_LEAKS]]
    if len(leaks) > MAX_LEAKS:
        lines.append(f"    and {len(leaks) - MAX_LEAKS} more")
    return lines


def _catalogue_lines() -> list[str]:
    return [
        f"{name}: {facts.title}; {facts.published or 'anything'}\n"
        f"  from {facts.url or 'you'}; a: {facts.sources_a[0]}, "
        f"b: {facts.sources_b[0]}; {facts.arrange}\n"
        f"  in the paper: {facts.paper}"
        for name, facts in CATALOGUE.items()
    ]


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    launch(main, ImportError)
