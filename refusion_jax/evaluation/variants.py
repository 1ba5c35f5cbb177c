"""Variants of a training, several seeds each: what differs, and how surely."""

from collections.abc import Mapping, Sequence

import numpy as np

from refusion_jax import metrics
from refusion_jax.evaluation.results import compare
from refusion_jax.evaluation.scores import Scores
from refusion_jax.evaluation.tables import Cell, Row, Table, intervals, summary


def averaged(runs: Sequence[Scores]) -> Scores:
    """Averages the scores of each pair over the seeds.

    Args:
      runs: scores of one variant, one per seed, of the same pairs and metrics.

    Returns:
      The means; NaN where any seed's score is undefined.

    Raises:
      ValueError: unless all have the same pairs and metrics.

    Examples:
      >>> one, two = (Scores(("1",), ("sd",), np.array([[x]])) for x in (30.0, 40.0))
      >>> averaged([one, two]).column("sd").tolist()
      [35.0]
    """
    first = runs[0]
    for run in runs[1:]:
        if (run.stems, run.keys) != (first.stems, first.keys):
            raise ValueError(
                "expected scores of the same pairs and metrics for every seed, got "
                f"{len(first.stems)} and {len(run.stems)} pairs, {len(first.keys)} and "
                f"{len(run.keys)} metrics; score all runs on the same pictures."
            )
    mean = np.mean([run.values for run in runs], axis=0)
    return Scores(first.stems, first.keys, mean)


def variant_tables(
    runs: Mapping[str, Mapping[int, Scores]], reference: str
) -> tuple[Table, Table, Table]:
    """Tabulates variants: means, differences from one of them, and spread over seeds.

    Args:
      runs: scores by variant and seed, of the same pairs and metrics.
      reference: the variant that the others are compared with.

    Returns:
      The means over pairs and seeds with mean ranks; the differences of the variants
      from the reference with intervals over pairs, each pair averaged over seeds; and
      the same differences seed by seed, smallest to largest, where both have a seed:
      no row if there is one seed only, which has no spread.
    """
    means = {name: averaged(list(by_seed.values())) for name, by_seed in runs.items()}
    return (
        summary(means),
        intervals(compare(means, reference), reference),
        _by_seed(runs, reference),
    )


def _by_seed(runs: Mapping[str, Mapping[int, Scores]], reference: str) -> Table:
    """Tabulates, for each variant, the smallest and largest difference of a seed."""
    others = runs[reference]
    keys = next(iter(others.values())).keys
    records = [metrics.ALL_METRICS[key] for key in keys]
    rows, is_spread = [], False
    for name, by_seed in runs.items():
        seeds = sorted(by_seed.keys() & others.keys())
        if name == reference or not seeds:
            continue
        is_spread |= len(seeds) > 1
        cells = []
        for key in keys:
            ends = sorted(by_seed[x].mean(key) - others[x].mean(key) for x in seeds)
            cells.append(Cell(f"{ends[0]:+.4g} to {ends[-1]:+.4g}"))
        rows.append(Row(name, (*cells, Cell(str(len(seeds))))))
    return Table(
        (
            f"Method minus {reference}",
            *(record.title for record in records),
            "Seeds",
        ),
        (*(1 if record.higher_is_better else -1 for record in records), 0),
        tuple(rows) if is_spread else (),
        (
            "The smallest and the largest difference of the means among runs of the "
            "same seed. Where the signs differ, the seed decides, not the variant.",
        ),
    )
