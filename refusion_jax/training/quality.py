"""How good the fused pictures of held-out pairs are, beside what needs no training.

A falling loss is not a fusion: pictures are judged by the columns of the paper's tables
against the average and the maximum of the sources and against either source.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from refusion_jax.data.sources import Luminances, PairSource, in_order, pictures_of
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.metrics import METRICS, WITH_SSIM, WITH_VIFF, compute
from refusion_jax.pictures.levels import average
from refusion_jax.pictures.ranges import apply_range
from refusion_jax.reporting.ranking import rank

Grey = UInt8[np.ndarray, "height width"]
COLUMNS = tuple(dict.fromkeys((*WITH_SSIM, *WITH_VIFF)))
LARGEST_SIDE = 256  # pixels; of larger pairs the centre is judged
RIVALS: dict[str, Callable[[Grey, Grey], Grey]] = {
    "average": average,
    "maximum": np.maximum,
    "source_a": lambda a, b: a,
    "source_b": lambda a, b: b,
}


class Judge:
    """Scores a model on held-out pairs; what never changes is scored once."""

    def __init__(self, held_out: PairSource, count: int) -> None:
        """Cuts the pairs to one size, because each size compiles every metric.

        Args:
          held_out: uint8 luminance pairs.
          count: the most pairs to judge.
        """
        chosen = [
            pair for pair, _ in zip(in_order(held_out), range(count), strict=False)
        ]
        side = min([LARGEST_SIDE, *(min(x.shape) for pair in chosen for x in pair)])
        self._pairs = [_centre(pair, side) for pair in chosen]
        self._rivals: dict[str, dict[str, float]] = {}

    def score(self, model: FusionModel) -> dict[str, float]:
        """Scores the model's pictures and ranks them among its rivals.

        Args:
          model: what a run has learned so far.

        Returns:
          For `fused` and each of `RIVALS`: NAME_rank, the mean rank over the columns (1
          is best, 5 the last), and NAME_COLUMN, the mean over the pairs; columns that
          no picture is large enough for are left out. SCD, undefined for a source
          alone, has no part in the ranks. Empty without pairs.
        """
        if not self._pairs:
            return {}
        if not self._rivals:
            self._rivals = {
                name: self._means([rival(a, b) for a, b in self._pairs])
                for name, rival in RIVALS.items()
            }
        fused = [fuse(model, a, b) for a, b in self._pairs]
        means = {"fused": self._means(fused), **self._rivals}
        ranks = mean_ranks(list(means.values()))
        scalars = {
            f"{name}_rank": rank for name, rank in zip(means, ranks, strict=True)
        }
        for name, columns in means.items():
            scalars |= {f"{name}_{key}": value for key, value in columns.items()}
        return scalars

    def _means(self, pictures: Sequence[Grey]) -> dict[str, float]:
        rows = [
            compute(a, b, picture, COLUMNS)
            for (a, b), picture in zip(self._pairs, pictures, strict=True)
        ]
        columns = {key: np.array([row[key] for row in rows]) for key in COLUMNS}
        return {
            key: float(values[np.isfinite(values)].mean())
            for key, values in columns.items()
            if np.isfinite(values).any()
        }


def fuse(model: FusionModel, source_a: Grey, source_b: Grey) -> Grey:
    """Fuses a grey pair as `refusion fuse` does without further options.

    Args:
      model: fuses.
      source_a, source_b: grey levels.

    Returns:
      Grey levels, stretched from black to white.
    """
    pair = [jnp.asarray(x[..., None] / np.float32(255)) for x in (source_a, source_b)]
    fused = jnp.asarray(model.fuse(*pair, precision="float32"))
    output = apply_range(fused, pair, rule="stretch")
    levels = np.floor(np.asarray(output)[..., 0] * 255 + 0.5)
    return levels.clip(0, 255).astype(np.uint8)


def mean_ranks(methods: Sequence[dict[str, float]]) -> list[float]:
    """Returns the mean rank of each method over the columns that all of them have.

    Args:
      methods: value by column.

    >>> mean_ranks([{"en": 7.0, "sd": 30.0}, {"en": 6.0, "sd": 40.0}, {"en": 6.0}])
    [1.0, 2.5, 2.5]
    """
    keys = [key for key in methods[0] if all(key in columns for columns in methods)]
    if not keys:
        return [float(1 + len(methods)) / 2] * len(methods)
    ranks = [
        rank(
            [columns[key] for columns in methods],
            higher_is_better=METRICS[key].higher_is_better,
        )
        for key in keys
    ]
    return [float(x) for x in np.mean(ranks, axis=0)]


def _centre(pair: Luminances, side: int) -> tuple[Grey, Grey]:
    top, left = ((size - side) // 2 for size in pair[0].shape)
    a, b = (
        np.asarray(x)[top : top + side, left : left + side] for x in pictures_of(pair)
    )
    return a, b
