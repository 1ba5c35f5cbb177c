"""Trains variants side by side at demo scale, where the true picture is known.

    python experiments/ablate.py --workdir=runs/presets
    python experiments/ablate.py --workdir=runs/orders --variant=meta_gradient=exact \
        --variant=meta_gradient=first_order --variant=loss_weights=equal,meta_steps=0

A variant is `field=value,...` on top of a scale of minutes; `preset=NAME`
is one of the fields (`default` if not given). Every variant runs with every seed on the
same pairs: photographs blurred or exposed twice (`data.demo_pairs`), so that the fused
picture can be compared with the photograph. The same command resumes a stopped run.
Writes ablation.json and table.md into the workdir and prints the table.
`refusion ablate` does the same.
"""

import sys
from pathlib import Path

from absl import flags
from launch import launch

from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.runs.ablation import DEFAULT_VARIANTS, ablate
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", required=True)
_VARIANTS = flags.DEFINE_multi_string(
    "variant",
    list(DEFAULT_VARIANTS),
    "field=value,...; repeat the flag for further variants.",
)
_SEEDS = flags.DEFINE_integer("seeds", 2, "Runs per variant.", lower_bound=1)


def main() -> int:
    """Runs all variants and seeds and writes the table.

    Returns:
      0 when the table is written.
    """
    text = ablate(
        _VARIANTS.value,
        Path(_WORKDIR.value),
        seeds=_SEEDS.value,
        tell=lambda text: print(text, file=sys.stderr),
    )
    print(text, end="")
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, NonFiniteError, Interrupted)
