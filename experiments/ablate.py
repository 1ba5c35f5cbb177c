r"""Trains variants side by side: at demo scale, or on folders of pairs.

    python experiments/ablate.py --workdir=runs/presets
    python experiments/ablate.py --workdir=runs/orders --variant=meta_gradient=exact \
        --variant=meta_gradient=first_order --variant=loss_weights=equal,meta_steps=0
    python experiments/ablate.py --workdir=runs/weights --task=ivif --seeds=3 \
        --source_a=TRAIN/infrared --source_b=TRAIN/visible \
        --test=MSRS=TEST/infrared,TEST/visible --variant=preset=default \
        --variant=loss_weights=equal,imitation_steps=0,meta_steps=0

A variant is `field=value,...` with `preset=NAME` among the fields (`default` if not
given); `table5` is that preset and the paper's ablations I to VIII. Every variant runs
with every seed on the same pairs. Without folders these are photographs blurred or
exposed twice (`data.demo_pairs`), at a scale of minutes, so that the fused picture can
be compared with the photograph. With folders, the variants are scored on the pairs of
each --test and compared with the first. The same command resumes. `refusion ablate`
does the same.
"""

import sys
from pathlib import Path

from absl import flags
from launch import launch

from refusion_jax.commands.messages import table_format
from refusion_jax.commands.set_up import use_cache
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.runs.ablation import DEFAULT_VARIANTS, ablate
from refusion_jax.runs.study import failures, study_of_folders
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", required=True)
_VARIANTS = flags.DEFINE_multi_string(
    "variant",
    list(DEFAULT_VARIANTS),
    "field=value,...; repeat the flag for further variants.",
)
_SEEDS = flags.DEFINE_integer("seeds", 2, "Runs per variant.", lower_bound=1)
_JOBS = flags.DEFINE_integer(
    "jobs", 1, "With folders: runs at once, each with its share of the cores."
)
_SOURCE_A = flags.DEFINE_string("source_a", None, "As for train.py; or demo pairs.")
_SOURCE_B = flags.DEFINE_string("source_b", None, "As for train.py.")
_TESTS = flags.DEFINE_multi_string(
    "test", [], "NAME=A,B: two folders of pairs to score on. Repeatable."
)
_TASK = flags.DEFINE_string(
    "task", None, "With folders: what the sources are, for settings and columns."
)
_COMMON = flags.DEFINE_string(
    "common", "", "With folders: field=value,... of all variants."
)


def tell(text: str) -> None:
    """Prints on standard error."""
    print(text, file=sys.stderr)


def main() -> int:
    """Runs all variants and seeds and writes the table.

    Returns:
      0 when the table is written, 1 if it lists a run that failed.
    """
    use_cache(is_wanted=True)  # runs of one shape have one program
    variants, workdir, seeds = _VARIANTS.value, Path(_WORKDIR.value), _SEEDS.value
    if _SOURCE_A.value is None:
        text = ablate(variants, workdir, seeds=seeds, tell=tell, show=table_format())
    else:
        if _SOURCE_B.value is None:
            raise ValueError("expected two folders, got one; name --source_b.")
        text = study_of_folders(
            variants,
            workdir,
            source_a=_SOURCE_A.value,
            source_b=_SOURCE_B.value,
            tests=_TESTS.value,
            task=_TASK.value,
            common=_COMMON.value,
            seeds=seeds,
            jobs=_JOBS.value,
            tell=tell,
            show=table_format(),
        )
    print(text, end="")
    return int(_SOURCE_A.value is not None and failures(workdir) > 0)


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, NonFiniteError, Interrupted)
