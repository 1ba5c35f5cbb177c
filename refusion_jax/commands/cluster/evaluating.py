"""Scoring by Ray: each worker reads pictures and computes metrics."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from refusion_jax.commands.cluster.engine import running, spread
from refusion_jax.commands.cluster.options import Cluster
from refusion_jax.data.pairs import Pair
from refusion_jax.evaluation.scoring import PairScorer, Spread
from refusion_jax.files.conveyor import FAILURES


class ScoringWorker:
    """Scores pairs."""

    def __init__(self, scorer: PairScorer) -> None:
        """Remembers the method.

        Args:
          scorer: of one method.
        """
        self._scorer = scorer

    def __call__(self, items: Sequence[str]) -> list[str]:
        """Scores some pairs.

        Args:
          items: a number and the fields of a `Pair` each.

        Returns:
          For each, its number, and its values or why it failed.
        """
        results = []
        for item in items:
            number, stem, path_a, path_b, *rules = json.loads(item)
            pair = Pair(stem, Path(path_a), Path(path_b), *rules)
            try:
                results.append([number, self._scorer(pair), None])
            except FAILURES as error:
                results.append([number, None, f"{stem}: {error}"])
        return [json.dumps(result) for result in results]


def spread_by_ray(cluster: Cluster) -> Spread:
    """Returns a function that spreads pairs over a cluster.

    Args:
      cluster: where; the pictures lie where all its machines see them.

    Returns:
      See `scoring.Spread`; it raises RuntimeError for a pair that cannot be scored,
      and as `engine.spread` does.
    """

    def score(
        scorer: PairScorer, pairs: Sequence[Pair]
    ) -> Iterator[tuple[int, list[float]]]:
        items = [json.dumps([n, *pair], default=str) for n, pair in enumerate(pairs)]
        with running(cluster):
            for text in spread(items, ScoringWorker, (scorer,), cluster.workers):
                number, values, error = json.loads(text)
                if error is not None:
                    raise RuntimeError(error)
                yield number, values

    return score
