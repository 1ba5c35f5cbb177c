"""Trains the weights of one task that ship with the package.

    python experiments/pretrain.py --task=ivif --data=DATA --workdir=runs/ivif

DATA holds a folder per set, such as ivif/roadscene, with train/ in it and a folder per
source in that; `configs/pretrained.py` has the sets and settings of each task. The same
command resumes an interrupted run. The workdir gets TASK.safetensors and curves.png.
"""

import json
from pathlib import Path

from absl import flags
from configs.pretrained import COMMON, FUNCTIONAL, RECIPES, Recipe
from launch import launch

from refusion_jax.commands.set_up import use_cache
from refusion_jax.data.training_pairs import open_training_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.files.checksums import sha256_of
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.reporting.curves import plot_curves
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError, train
from refusion_jax.weights.store import save_weights

CURVES = {
    "fusion loss": ("fusion", "fusion_loss"),
    "reconstruction loss": ("fusion", "reconstruction_loss"),
    "fusion loss, held out": ("validation", "fusion_loss"),
    "rank of five, held out": ("validation", "fused_rank"),
}

_TASK = flags.DEFINE_enum("task", None, list(RECIPES), "Which weights.", required=True)
_DATA = flags.DEFINE_string("data", None, "Folder of the sets.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_SEED = flags.DEFINE_integer("seed", None, "Of the run; default: the recipe's.")


def main() -> int:
    """Trains, and prints the SHA-256 of the weights.

    Returns:
      0 when the run is complete.
    """
    recipe = RECIPES[_TASK.value]
    settings = {**COMMON, **recipe.settings}
    if _SEED.value is not None:
        settings["seed"] = _SEED.value
    source_a, source_b = folders(recipe, Path(_DATA.value))
    config = with_fields(
        preset("default"),
        {**settings, "source_a": source_a, "source_b": source_b},
    )
    split_cpu(config.data.batch_size)
    use_cache(is_wanted=True)  # a run that resumes need not compile again
    pairs = open_training_pairs(
        source_a=source_a, source_b=source_b, crop_size=config.data.crop_size
    )
    workdir = Path(_WORKDIR.value)
    state = train(config, pairs, workdir)
    weights = workdir / f"{_TASK.value}.safetensors"
    # What the weights rest on, but not where the pictures lay.
    notes = {
        "task": _TASK.value,
        "sets": ", ".join(recipe.sets),
        "step": str(int(state.step)),
        "settings": json.dumps(settings),
        **config.method.notes(config.settings),
    }
    save_weights(weights, state.params, notes)
    print(f"{weights} {sha256_of(weights)}")
    curves = plot_curves(read_scalars(workdir / "scalars.jsonl"), CURVES)
    write_picture(workdir / "curves.png", curves)
    return 0


def folders(recipe: Recipe, data: Path) -> tuple[str, str]:
    """Returns the folders of source a and of source b, with commas between.

    Args:
      recipe: of the task.
      data: folder of the sets.
    """
    sides: tuple[list[str], list[str]] = ([], [])
    for name in recipe.sets:
        for side, source in zip(sides, recipe.sources, strict=True):
            choices = FUNCTIONAL if source == "functional" else (source,)
            found = [data / name / "train" / choice for choice in choices]
            side.append(str(next((x for x in found if x.is_dir()), found[0])))
    return ",".join(sides[0]), ",".join(sides[1])


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, ImportError, NonFiniteError, Interrupted)
