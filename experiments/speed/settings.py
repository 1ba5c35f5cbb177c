"""The settings of the command line, for all parts."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from speed.contest import Entry


class Settings(NamedTuple):
    """What to measure.

    Attributes:
      rounds: timed turns of each contender.
      only: pattern of contenders' names; the first of a contest always runs.
      weights: of F, as `weights.store.load_model` takes them; None: fresh ones.
      source_a, source_b: folders of pictures for `precision`.
      sizes: (height, width) of the pictures of `inference` and `memory`.
      max_megapixels, max_batch: largest case of `scale`.
      max_inner_steps: largest case of `modes`.
    """

    rounds: int = 5
    only: str = ""
    weights: str | None = None
    source_a: str | None = None
    source_b: str | None = None
    sizes: Sequence[tuple[int, int]] = ((480, 640), (256, 256))
    max_megapixels: float = 24
    max_batch: int = 64
    max_inner_steps: int = 8

    def select(self, entries: Sequence[Entry]) -> list[Entry]:
        """Returns the first entry and those whose names match `only`."""
        first, *others = entries
        return [first, *(x for x in others if re.search(self.only, x.name))]


@contextmanager
def scratch() -> Iterator[Path]:
    """Makes a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="refusion_benchmark_") as folder:
        yield Path(folder)
