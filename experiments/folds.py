r"""Trains UAAFusion without some of the pairs, and judges it on those; fold by fold.

    python experiments/folds.py --source_a=DATA/infrared --source_b=DATA/visible \
        --labels=DATA/mask --label_values=binary --folds=4 --workdir=runs/folds

Each fold withholds every so many-th pair. Writes folds.json and folds.md to the
workdir: the IoU of the segmentation network S on both sources, their mean and the fused
picture of the withheld pairs, and what each part of the method does to that picture.
The same command resumes. Settings: configs/segmentation.py.
"""

import json
from pathlib import Path

from absl import flags
from configs.segmentation import ALONE, JOINT, ONLY_JOINT
from launch import launch
from segmentation.folding import train_fold, withheld
from segmentation.parts import judge_fold
from segmentation.writing import folds_page

from refusion_jax.commands.set_up import use_cache
from refusion_jax.data.training_pairs import open_training_pairs
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.files.atomic import replace_file
from refusion_jax.pictures.labels import VALUES
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError

_SOURCE_A = flags.DEFINE_string("source_a", None, "Infrared pictures.", required=True)
_SOURCE_B = flags.DEFINE_string("source_b", None, "Visible pictures.", required=True)
_LABELS = flags.DEFINE_string("labels", None, "Folder of their labels.", required=True)
_VALUES = flags.DEFINE_enum("label_values", "index", VALUES, "As of train.py.")
_CLASSES = flags.DEFINE_integer(
    "classes", 3, "Classes, the unlabelled one included.", lower_bound=2
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", required=True)
_FOLDS = flags.DEFINE_integer("folds", 4, "Number of folds.", lower_bound=2)
_ONLY = flags.DEFINE_list("only", [], "Numbers of the folds to run. Default: all.")
_ALONE = flags.DEFINE_bool("alone", False, "Train S only, without joint steps.")
_INIT = flags.DEFINE_string(
    "init",
    "",
    "Weights of S and F to start joint steps from, which must not have seen what the "
    "fold withholds; needs --only=FOLD.",
)


def main() -> int:
    """Trains and judges, and prints the page.

    Returns:
      0 when all is written.
    """
    use_cache(is_wanted=True)
    if _INIT.value and (_ALONE.value or len(_ONLY.value) != 1):
        raise ValueError(
            "expected --init with --only=FOLD and joint steps, got "
            f"--only={','.join(_ONLY.value)}; name one fold, and leave out --alone."
        )
    phases = ONLY_JOINT if _INIT.value else JOINT
    settings = {**(ALONE if _ALONE.value else phases), "init": _INIT.value}
    settings |= {"classes": _CLASSES.value, "label_values": _VALUES.value}
    pairs = open_training_pairs(
        source_a=_SOURCE_A.value,
        source_b=_SOURCE_B.value,
        labels=_LABELS.value,
        label_values=_VALUES.value,
        classes=_CLASSES.value,
        crop_size=settings["crop_size"],
    )
    folds = range(_FOLDS.value)
    if not all(text.isdecimal() for text in _ONLY.value):
        raise ValueError(
            f"expected numbers of folds, got --only={','.join(_ONLY.value)}; name some "
            f"from 0 to {folds[-1]}."
        )
    chosen = {
        fold: withheld(len(pairs), len(folds), fold)
        for fold in map(int, _ONLY.value or folds)
    }
    workdir = Path(_WORKDIR.value)
    record = workdir / "folds.json"
    # With --only, the folds of other calls stay.
    known = json.loads(record.read_text()) if record.exists() else []
    by_fold = {fold["fold"]: fold for fold in known}
    for fold, held_out in chosen.items():
        folder = workdir / f"fold_{fold}"
        trees = train_fold(pairs, held_out, settings, folder)
        log = folder / "scalars.jsonl"
        by_fold[fold] = judge_fold(
            fold, trees, [pairs[i] for i in held_out], log, _ALONE.value
        )
        found = [by_fold[number] for number in sorted(by_fold)]
        replace_file(record, (json.dumps(found, indent=1) + "\n").encode())
    page = folds_page(found)
    replace_file(workdir / "folds.md", page.encode())
    print(page, end="")
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, ImportError, NonFiniteError, Interrupted)
