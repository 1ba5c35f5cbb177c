"""Scores fused pictures against their sources: folders in, one value per picture out.

Every picture, source or fused, grey or colour, is scored by its 8-bit luminance: the Y
of BT.601, rounded half up (`pictures.codecs.to_luminance`). All problems of the input
are reported together, before anything is computed.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from refusion_jax import metrics
from refusion_jax.data.pairs import Pair, pictures_by_stem
from refusion_jax.evaluation.candidates import (
    Candidate,
    FromFolder,
    FromWeights,
    read_luminances,
)
from refusion_jax.evaluation.scores import Scores
from refusion_jax.files.pairing import matched
from refusion_jax.metrics import check_keys
from refusion_jax.pictures.alignment import common_size
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.names import ALIGNMENTS
from refusion_jax.pictures.notes import note


class InputError(ValueError):
    """An error that lists all pictures that are missing, unreadable or of another size.

    Attributes:
      problems: one sentence per problem.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Joins the problems into one message.

        Args:
          problems: at least one.
        """
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(
            f"expected complete sets of pictures, got {len(problems)} "
            f"problem{'s' if len(problems) > 1 else ''}; correct the folders:{lines}"
        )


def evaluate(
    source_a: str | os.PathLike[str],
    source_b: str | os.PathLike[str],
    fused: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    keys: Sequence[str] | None = None,
    ground_truth: str | os.PathLike[str] | None = None,
    levels: str = "full",
    align: str = "none",
    progress: bool = False,
) -> Scores:
    """Scores one method on folders of pictures, paired by stem.

    Args:
      source_a, source_b: folders of sources, in the order used for training.
      fused: folder of fused pictures made by any program. Give either this or
        `weights`.
      weights: weights with which to fuse the sources as `refusion fuse` does, see
        `weights.store.load_model`.
      keys: keys of `metrics.METRICS` and `metrics.MEFB_METRICS`; None for all of the
        former.
      ground_truth: folder of the true pictures, for the scores of
        `metrics.TRUTH_METRICS` besides; None: without.
      levels, align: how the sources are read, as for `refusion_jax.fuse`, but for
        "register", which is refused: fused pictures do not tell how it was cut.
      progress: whether to show a bar on standard error if that is a terminal.

    Returns:
      The scores; `scores.write_scores` writes them, `tables.summary` tabulates their
      means.

    Raises:
      InputError: a ValueError that lists every picture that is missing, unreadable or
        of another size.
      FileNotFoundError, ValueError: if a folder or the weights cannot be used, there is
        no such metric, or sources are to be registered.
    """
    method: Candidate
    if fused is not None and weights is None:
        method = FromFolder(fused)
    elif weights is not None and fused is None:
        method = FromWeights(weights)
    else:
        raise ValueError(
            "expected either a folder of fused pictures or weights, got "
            f"{'neither' if fused is None else 'both'}; name one of them."
        )
    keys = check_keys(keys)
    pairs = check_pictures(
        source_a,
        source_b,
        {"fused": method},
        ground_truth=ground_truth,
        levels=levels,
        align=align,
        progress=progress,
    )
    return score(pairs, method, keys, progress=progress)


def columns(choice: str, task: str | None) -> tuple[str, ...]:
    """Returns the metrics that are the columns of a table.

    Args:
      choice: "paper" for the columns of the task's table in the paper, or of all its
        tables if no task is named; "all" for all of `metrics.METRICS`; "mefb" for the
        columns of the benchmark MEFB; otherwise keys separated by commas.
      task: one of `metrics.PAPER_COLUMNS`, or None.

    Returns:
      Keys in the order of the columns.

    Raises:
      ValueError: if there is no such task or metric.

    Examples:
      >>> columns("paper", "mfif")
      ('en', 'sd', 'sf', 'viff', 'qcb', 'qncie')
      >>> columns("qabf,en", None)
      ('qabf', 'en')
    """
    if task is not None and task not in metrics.PAPER_COLUMNS:
        raise ValueError(
            f"expected a task among {', '.join(metrics.PAPER_COLUMNS)}, got {task!r}; "
            "choose one of these."
        )
    if choice == "all":
        return check_keys(None)
    if choice == "mefb":
        return metrics.MEFB_COLUMNS
    if choice != "paper":
        return check_keys(choice.split(","))
    tasks = metrics.PAPER_COLUMNS if task is None else (task,)
    return tuple(
        dict.fromkeys(key for name in tasks for key in metrics.PAPER_COLUMNS[name])
    )


def check_pictures(
    source_a: str | os.PathLike[str],
    source_b: str | os.PathLike[str],
    methods: Mapping[str, Candidate],
    *,
    ground_truth: str | os.PathLike[str] | None = None,
    levels: str = "full",
    align: str = "none",
    progress: bool = False,
) -> list[Pair]:
    """Reads every picture once and raises one error with all problems.

    Args:
      source_a, source_b: folders of sources.
      methods: candidates by name. A candidate from a folder must have a picture for
        every pair and no others.
      ground_truth: folder of the true pictures, one for every pair and no others.
      levels: range rule of sources beyond 8 bits, see `pictures.levels`.
      align: how sources of two sizes are aligned, see `pictures.alignment`; the fused
        pictures have that size. Not "register", whose size the sources do not tell.
      progress: whether to show a bar on standard error if that is a terminal.

    Returns:
      The pairs, in the order of their stems.

    Raises:
      InputError: if there are problems, listing all of them.
      FileNotFoundError, PermissionError, ValueError: if a folder holds no pictures, or
        for align="register".
    """
    if align == "register":
        choices = ", ".join(name for name in ALIGNMENTS if name != align)
        raise ValueError(
            f"expected align to be one of {choices}, got {align!r}; register the "
            "sources first, and score with these."
        )
    folders = {
        f"source a ({source_a})": pictures_by_stem(source_a),
        f"source b ({source_b})": pictures_by_stem(source_b),
    } | {
        f"{name} ({method.folder})": method.pictures
        for name, method in methods.items()
        if isinstance(method, FromFolder)
    }
    if ground_truth is not None:
        folders[f"ground truth ({ground_truth})"] = pictures_by_stem(ground_truth)
    found = matched(list(folders.values()))
    if found.remark is not None:
        note(found.remark)
    folders = dict(zip(folders, found.tables, strict=True))
    for name, method in methods.items():
        if isinstance(method, FromFolder):
            method.pictures = folders[f"{name} ({method.folder})"]
    problems = []
    for stem in tqdm(
        sorted(set().union(*folders.values())),
        desc="checking",
        unit="pair",
        disable=None if progress else True,
    ):
        problems += _problems(stem, folders, levels, align)
    if problems:
        raise InputError(problems)
    pictures_a, pictures_b, *others = folders.values()
    truths = {} if ground_truth is None else others[-1]
    return [
        Pair(stem, pictures_a[stem], pictures_b[stem], levels, align, truths.get(stem))
        for stem in sorted(pictures_a)
    ]


def _problems(
    stem: str, folders: Mapping[str, Mapping[str, Path]], levels: str, align: str
) -> list[str]:
    """Returns the problems with the pictures of one stem."""
    problems, first, shapes = [], None, []
    for place, (name, pictures) in enumerate(folders.items()):
        if stem not in pictures:
            problems.append(f"{stem}: no picture in {name}.")
            continue
        try:
            rule = levels if place < 2 else "full"
            shape = read_picture(pictures[stem], levels=rule).shape[:2]
        except (OSError, ValueError) as error:
            problems.append(f"{stem}: {error}")
            continue
        if place < 2 and align != "none":
            shapes.append(shape)
            if len(shapes) == 2:
                height, width = common_size(shapes, align, list(folders)[:2])
                first = (width, height, f"the sources under align={align}")
            continue
        height, width = shape
        first = first or (width, height, name)
        if (width, height) != first[:2]:
            problems.append(
                f"{stem}: {width}x{height} pixels in {name}, "
                f"{first[0]}x{first[1]} in {first[2]}."
            )
    return problems


@dataclass(frozen=True)
class PairScorer:
    """Scores one method on one pair; can be pickled if the method can.

    Attributes:
      method: makes the fused picture of a pair.
      keys: of `metrics.METRICS` and `metrics.MEFB_METRICS`.
      has_truths: whether the pairs have true pictures, for `metrics.TRUTH_METRICS`
        besides.
    """

    method: Candidate
    keys: tuple[str, ...]
    has_truths: bool

    @property
    def all_keys(self) -> tuple[str, ...]:
        """The metrics, in the order of the values."""
        return (*self.keys, *(metrics.TRUTH_METRICS if self.has_truths else ()))

    def __call__(self, pair: Pair) -> list[float]:
        """Returns the values of a pair.

        Args:
          pair: as `check_pictures` returns it.
        """
        fused = to_luminance(self.method(pair))
        scored = {}
        if self.keys:
            scored = metrics.compute(*read_luminances(pair), fused, keys=self.keys)
        if self.has_truths:
            assert pair.truth is not None
            truth = to_luminance(read_picture(pair.truth))
            scored |= metrics.compute_truth(truth, fused)
        return [float(scored[key]) for key in self.all_keys]


# Yields the number of each pair and its values, in any order.
Spread = Callable[[PairScorer, Sequence[Pair]], Iterable[tuple[int, list[float]]]]


def score(
    pairs: Sequence[Pair],
    method: Candidate,
    keys: Sequence[str],
    *,
    name: str = "fused",
    progress: bool = False,
    spread: Spread | None = None,
) -> Scores:
    """Scores one method.

    Args:
      pairs: pairs as `check_pictures` returns them; those with a true picture are
        scored by `metrics.TRUTH_METRICS` besides.
      method: the candidate that makes the fused picture of a pair.
      keys: keys of `metrics.METRICS` and `metrics.MEFB_METRICS`.
      name: label of the bar.
      progress: whether to show a bar on standard error if that is a terminal.
      spread: what spreads the pairs over processes; None: this process does all.

    Returns:
      The scores.
    """
    has_truths = any(pair.truth is not None for pair in pairs)
    scorer = PairScorer(method, tuple(keys), has_truths)
    spread = spread or _in_order
    values = np.empty((len(pairs), len(scorer.all_keys)), np.float64)
    for number, row in tqdm(
        spread(scorer, pairs),
        total=len(pairs),
        desc=name,
        unit="pair",
        disable=None if progress else True,
    ):
        values[number] = row
    return Scores(tuple(pair.stem for pair in pairs), scorer.all_keys, values)


def _in_order(
    scorer: PairScorer, pairs: Sequence[Pair]
) -> Iterator[tuple[int, list[float]]]:
    for number, pair in enumerate(pairs):
        yield number, scorer(pair)
