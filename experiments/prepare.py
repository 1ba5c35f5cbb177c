"""Prepares a data set once, for fast reading: checked, counted, in shards.

    python experiments/prepare.py --dataset=msrs --source_dir=DOWNLOADS/MSRS
    python experiments/prepare.py --dataset=folder --source_a=MY/ir --source_b=MY/vis
    python experiments/prepare.py --dataset=demo

Nothing is downloaded: `--list` says where each set is published and how to arrange it.
Repeating the command reports the prepared set; an interrupted command starts over.
`refusion prepare` does the same.
"""

import sys
from pathlib import Path

from absl import flags
from launch import launch

from refusion_jax.data.catalogue import CATALOGUE
from refusion_jax.pictures.names import ALIGNMENTS, LEVELS
from refusion_jax.runs.preparing import catalogue_lines, prepare_set, stopping

_DATASET = flags.DEFINE_enum("dataset", None, list(CATALOGUE), "What to prepare.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of prepared sets.")
_SOURCE_DIR = flags.DEFINE_string(
    "source_dir", None, "Folder with {train,test}/{FIRST,SECOND} of the data set."
)
_SOURCE_A = flags.DEFINE_string("source_a", None, "For folder: first sources.")
_SOURCE_B = flags.DEFINE_string("source_b", None, "For folder: second sources.")
_THIRD = flags.DEFINE_string("third", None, "For folder: masks or ground truth.")
_ALIGN = flags.DEFINE_enum(
    "align", "none", ALIGNMENTS, "What becomes of two sizes in a pair; none: an error."
)
_LEVELS = flags.DEFINE_string(
    "levels", "full", f"Range of 16-bit grey: {', '.join(LEVELS)} or LOW:HIGH."
)
_SCENE = flags.DEFINE_string(
    "scene", "", "Pattern whose first group in a stem is the scene, to find leaks."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the prepared set.")
_LIST = flags.DEFINE_bool("list", False, "List the data sets and exit.")


def main() -> int:
    """Prepares the set and prints its contents.

    Returns:
      0 when the set is prepared, 128 plus the signal's number when a signal stopped it.
    """
    if _LIST.value:
        print("\n".join(catalogue_lines()))
        return 0
    with stopping(lambda text: print(f"prepare: {text}", file=sys.stderr)) as codes:
        lines = prepare_set(
            _DATASET.value,
            Path(_DATA_DIR.value),
            source_dir=_path(_SOURCE_DIR.value),
            source_a=_path(_SOURCE_A.value),
            source_b=_path(_SOURCE_B.value),
            third=_path(_THIRD.value),
            align=_ALIGN.value,
            levels=_LEVELS.value,
            scene=_SCENE.value,
            overwrite=_OVERWRITE.value,
        )
        print("\n".join(lines))
    return codes[0] if codes else 0


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


if __name__ == "__main__":
    launch(main, ImportError)
