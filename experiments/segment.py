r"""Judges fused pictures by a segmentation network trained alike on each method's.

    python experiments/segment.py --source_a=DATA/infrared --source_b=DATA/visible \
        --labels=DATA/mask --label_values=binary --workdir=runs/segment \
        --method=ours=FUSED/ours --method=refusion=FUSED/refusion

Each method is a folder of fused pictures of the labelled pairs, named by their stems;
both sources and their average are always among them. Fold by fold the network learns
from the pictures of some pairs and is judged on those of the others, with the same
seed and settings (configs/segmentation.py) for each method. Writes segmentation.json
and segmentation.md to --out, or else to the workdir. The same command resumes.
"""

import json
from pathlib import Path

from absl import flags
from configs.segmentation import ALONE
from launch import launch
from segmentation.folding import train_fold, withheld
from segmentation.judging import judge
from segmentation.writing import methods_page

from refusion_jax.commands.set_up import use_cache
from refusion_jax.data.sources import Luminances
from refusion_jax.data.training_pairs import open_training_pairs
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.evaluation.segmentation import Counts, total
from refusion_jax.files.atomic import replace_file
from refusion_jax.pictures.labels import VALUES
from refusion_jax.pictures.levels import average
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError

_SOURCE_A = flags.DEFINE_string("source_a", None, "Infrared pictures.", required=True)
_SOURCE_B = flags.DEFINE_string("source_b", None, "Visible pictures.", required=True)
_LABELS = flags.DEFINE_string("labels", None, "Folder of their labels.", required=True)
_VALUES = flags.DEFINE_enum("label_values", "index", VALUES, "As of train.py.")
_CLASSES = flags.DEFINE_integer(
    "classes", 3, "Classes, the unlabelled one included.", lower_bound=2
)
_NAMES = flags.DEFINE_list("names", [], "Names of the classes from 1, for the table.")
_METHOD = flags.DEFINE_multi_string(
    "method", [], "NAME=FOLDER of fused pictures. Repeatable."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder of the tables. Default: the workdir.")
_FOLDS = flags.DEFINE_integer("folds", 4, "Number of folds.", lower_bound=2)
_STEPS = flags.DEFINE_integer(
    "steps", ALONE["pretraining_steps"], "Steps per epoch.", lower_bound=1
)
SOURCES = ("source a", "source b", "average")


def main() -> int:
    """Trains and judges, and prints the page.

    Returns:
      0 when all is written.
    """
    use_cache(is_wanted=True)
    settings = {**ALONE, "classes": _CLASSES.value, "label_values": _VALUES.value}
    settings["pretraining_steps"] = _STEPS.value
    workdir = Path(_WORKDIR.value)
    found: dict[str, Counts] = {}
    for name, pictures in _methods().items():
        counts = []
        for fold in range(_FOLDS.value):
            held_out = withheld(len(pictures), _FOLDS.value, fold)
            folder = workdir / name.replace(" ", "_") / f"fold_{fold}"
            trees = train_fold(pictures, held_out, settings, folder)
            for index in held_out:
                picture, labels = pictures[index][0], pictures[index][-1]
                counts.append(judge(trees, picture, labels))
        found[name] = total(counts)
    out = Path(_OUT.value or workdir)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: counts.tolist() for name, counts in found.items()})
    replace_file(out / "segmentation.json", f"{text}\n".encode())
    page = methods_page(found, _NAMES.value)
    replace_file(out / "segmentation.md", page.encode())
    print(page, end="")
    return 0


def _methods() -> dict[str, list[Luminances]]:
    """Returns each method's pictures, twice as a pair, with the labels."""
    pairs = [*_read(_SOURCE_A.value, _SOURCE_B.value)]
    means = [average(pair[0], pair[1]) for pair in pairs]
    found: dict[str, list[Luminances]] = {
        name: [(x, x, pair[-1]) for x, pair in zip(pictures, pairs, strict=True)]
        for name, pictures in zip(
            SOURCES,
            ([pair[0] for pair in pairs], [pair[1] for pair in pairs], means),
            strict=True,
        )
    }
    for text in _METHOD.value:
        name, equals, folder = text.partition("=")
        if not equals or name in found:
            raise ValueError(
                f"expected --method=NAME=FOLDER with a name of its own, got {text!r}; "
                f"names that are taken: {', '.join(found)}."
            )
        found[name] = _read(folder, folder)
    return found


def _read(source_a: str, source_b: str) -> list[Luminances]:
    pairs = open_training_pairs(
        source_a=source_a,
        source_b=source_b,
        labels=_LABELS.value,
        label_values=_VALUES.value,
        classes=_CLASSES.value,
        crop_size=ALONE["crop_size"],
    )
    return [pairs[i] for i in range(len(pairs))]


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, ImportError, NonFiniteError, Interrupted)
