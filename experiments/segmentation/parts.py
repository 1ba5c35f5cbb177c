"""What each part of UAAFusion does to a fused picture, and to S on it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.evaluation.segmentation import Counts, total
from refusion_jax.methods.uaafusion.attribution import plain
from refusion_jax.methods.uaafusion.guidance import (
    attribute_sources,
    blend,
    predicted_mask,
    unfold_guided,
    unfold_unguided,
)
from refusion_jax.methods.uaafusion.model import POINTS
from refusion_jax.methods.uaafusion.nets.fusion import unfold
from refusion_jax.methods.uaafusion.nets.segmentation import segment
from refusion_jax.methods.uaafusion.phases import JOINT
from refusion_jax.training.scalars import read_scalars
from segmentation.judging import judge, unit

FUSED = "fused"
INDIFFERENT = 0.01  # |w - 1/2| below which a source is not preferred
TERMS = (
    "total_loss",
    "intensity_loss_a",
    "intensity_loss_b",
    "gradient_loss",
    "entropy_fused",
    "entropy_a",
    "entropy_b",
)


def judge_fold(
    fold: int,
    trees: Mapping[str, Params],
    pairs: Sequence[Any],
    log: Path,
    is_alone: bool,
) -> dict[str, Any]:
    """Judges the networks of a fold on the pairs that it withheld, at full size.

    Args:
      fold: its number.
      trees: of the last step.
      pairs: the withheld ones, with labels.
      log: scalars of the run.
      is_alone: whether S alone was trained.

    Returns:
      JSON values: `counts` of pixels by picture, [true label, predicted label];
      `changes` in 255ths of the fused picture without a part of the method; `decided`,
      the share of pixels where one source is preferred; `terms` of the loss on withheld
      crops, before and after joint training.
    """
    counts: dict[str, list[Counts]] = {}
    changes: dict[str, list[float]] = {}
    decided = []
    for a, b, labels in pairs:
        a, b = unit(a), unit(b)
        pictures = {"infrared": a, "visible": b, "mean": 0.5 * (a + b)}
        if not is_alone:
            made = jax.device_get(without_parts(trees, a[None], b[None]))
            decided.append(float(made.pop("decided")))
            pictures |= {name: image[0] for name, image in made.items()}
            for name, image in made.items():
                if name != FUSED:
                    change = 255 * np.abs(image - made[FUSED]).mean()
                    changes.setdefault(name, []).append(float(change))
        for name, image in pictures.items():
            counts.setdefault(name, []).append(judge(trees, image[..., 0], labels))
    found: dict[str, Any] = {
        "fold": fold,
        "counts": {name: total(some).tolist() for name, some in counts.items()},
    }
    if not is_alone:
        found["changes"] = {name: float(np.mean(x)) for name, x in changes.items()}
        found["decided"] = float(np.mean(decided))
        found["terms"] = terms(log)
    return found


@jax.jit
def without_parts(trees: Mapping[str, Params], a: Image, b: Image) -> dict[str, Array]:
    """Returns the fused picture, and what it is without a part of the method.

    Args:
      trees: of the variant with data steps.
      a, b: luminance in [0, 1].

    Returns:
      `fused`; `no attention`: A = 0; `equal weights`: w = 1/2; `fast`: neither S nor
      its parts; and `decided`, see `judge_fold`.
    """
    fusion = trees["fusion"]
    network = plain(partial(segment, trees["segmentation"], trees["statistics"]))
    mask = predicted_mask(network, a, b, is_released=False)
    weights = attribute_sources(network, a, b, mask, points=POINTS, at_once=1).weights
    half = jnp.full_like(weights, 0.5)
    guided = partial(unfold_guided, fusion, network, a, b, mask)
    return {
        FUSED: guided(weights).fused,
        "no attention": unfold(fusion, a, b, target=blend(a, b, weights)).fused,
        "equal weights": guided(half).fused,
        "fast": unfold_unguided(fusion, a, b).fused,
        "decided": (jnp.abs(weights[..., 0] - 0.5) > INDIFFERENT).mean(),
    }


def terms(log: Path) -> dict[str, tuple[float, float]]:
    """Returns the losses of withheld crops before and after joint training.

    Args:
      log: scalars of a run.
    """
    lines = read_scalars(log)
    joint = min(x["step"] for x in lines if x["stage"] == JOINT)
    valid = [x for x in lines if x["stage"] == "validation"]
    before = [x for x in valid if x["step"] < joint][-1]
    return {name: (before[name], valid[-1][name]) for name in TERMS}
