"""Leave-some-out: which pairs each fold withholds, and the runs of the folds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from refusion_jax.array_types import Params
from refusion_jax.data.sources import ChosenPairs, PairSource
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.trainer import train

METHOD, PRESET = "uaafusion", "small"


def withheld(count: int, folds: int, fold: int) -> list[int]:
    """Returns the pairs that a fold withholds: every so many-th one.

    Args:
      count: number of pairs.
      folds: number of folds, from 2 to `count`.
      fold: from 0.

    Raises:
      ValueError: for another number of folds, or a fold that is none of them.
    """
    if not 0 <= fold < folds:
        raise ValueError(
            f"expected a fold from 0 to {folds - 1}, got {fold}; correct --only."
        )
    if not 2 <= folds <= count:
        raise ValueError(
            f"expected 2 to {count} folds for {count} pairs, got {folds}; lower "
            "--folds or add pairs."
        )
    return [*range(fold, count, folds)]


def train_fold(
    pairs: PairSource,
    held_out: list[int],
    settings: Mapping[str, Any],
    workdir: Path,
) -> dict[str, Params]:
    """Trains without some of the pairs, or resumes, or reads a run that is complete.

    Args:
      pairs: with labels.
      held_out: the pairs to withhold.
      settings: what differs from the preset `small`.
      workdir: the run's folder.

    Returns:
      The trees of the last step, on the host.
    """
    config = with_fields(preset(PRESET, METHOD), dict(settings))
    kept = [i for i in range(len(pairs)) if i not in held_out]
    state = train(
        config,
        ChosenPairs(pairs, kept),
        workdir,
        held_out=ChosenPairs(pairs, held_out),
    )
    trees: dict[str, Params] = jax.tree.map(np.asarray, state.params._asdict())
    return trees
