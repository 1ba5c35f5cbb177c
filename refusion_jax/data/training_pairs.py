"""The pairs of a run, from the name of a data set or from two folders."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refusion_jax.data.catalogue import facts_of
from refusion_jax.data.layout import SplitFolders
from refusion_jax.data.pairs import find_groups, find_pairs, read_pairs
from refusion_jax.data.patches import PatchedPairs, find_patches
from refusion_jax.data.prepared import PreparedPairs, open_prepared
from refusion_jax.data.sources import JoinedPairs, LabelledPairs, PairSource
from refusion_jax.pictures.labels import read_labels, shifted_labels


def open_training_pairs(
    *,
    dataset: str = "",
    data_dir: str = "data",
    source_a: str = "",
    source_b: str = "",
    align: str = "none",
    levels: str = "full",
    patches: bool = False,
    crop_size: int = 128,
    labels: str = "",
    label_values: str = "",
    classes: int | None = None,
) -> PairSource:
    """Finds the training pairs.

    Args:
      dataset: a name of the catalogue, prepared by `experiments/prepare.py`; `folder`
        prepares source_a and source_b unless that has been done, `demo` makes its
        pairs; empty reads source_a and source_b into memory, unprepared.
      data_dir: the folder of prepared sets.
      source_a, source_b: folders of pictures; several with commas between are sets
        that count alike, however many pairs each has (`sources.JoinedPairs`).
      align: how pictures of different sizes are aligned, see `pictures.alignment`. Sets
        prepared under another name keep their own `align` and `levels`.
      levels: range rule of 16-bit grey, see `pictures.levels`.
      patches: use fixed patches with contrast, of side crop_size (see `data.patches`),
        instead of whole pictures.
      crop_size: side of the crop that must fit into every picture, in pixels.
      labels: folder of the labels of source_a and source_b, or folders like theirs; of
        the masks with which the set `folder` is prepared.
      label_values: how labels are written, see `pictures.labels`; empty: pairs without
        labels. A prepared set has its own.
      classes: number of classes that labels may name, the unlabelled one included.

    Returns:
      The pairs; those of a prepared set are read on demand.

    Raises:
      FileNotFoundError: if a folder or the prepared set is missing.
      ImportError: if a prepared set is requested without tensorflow-datasets.
      ValueError: for an unknown name, folders given with a set that needs none, or
        pictures that cannot be used.
    """
    if dataset not in ("", "folder") and (source_a or source_b):
        raise ValueError(
            f"expected no folders with the data set {dataset!r}, got source_a or "
            "source_b; leave them out, or use --dataset=folder."
        )
    if dataset in ("", "folder") and not (source_a and source_b):
        raise ValueError(
            f"expected {'' if dataset else 'a data set or '}two folders of pictures, "
            f"got {'one folder' if source_a or source_b else 'neither'}; name "
            f"{'' if dataset else 'a data set, or '}both folders, A and B."
        )
    is_labelled = bool(label_values)
    if is_labelled and not dataset and not labels:
        raise ValueError(
            "expected labels with source_a and source_b, got none; name their folder "
            "with --labels=FOLDER."
        )
    pairs: PairSource
    if dataset:
        given = (source_a, source_b, labels)
        prepared = _prepared(dataset, Path(data_dir), given, align, levels)
        if not patches:
            prepared.require_minimum(crop_size)
        pairs = prepared
        if is_labelled:
            pairs = with_prepared_labels(prepared, values=label_values, classes=classes)
    else:
        sets: list[PairSource] = []
        for folders in _folders(source_a, source_b, labels if is_labelled else ""):
            found = read_pairs(
                find_pairs(*folders[:2]),
                minimum_size=None if patches else crop_size,
                align=align,
                levels=levels,
            )
            sets.append(
                with_labels_of_folder(
                    found, folders, values=label_values, classes=classes
                )
                if is_labelled
                else found
            )
        pairs = sets[0] if len(sets) == 1 else JoinedPairs(sets)
    if patches:
        return PatchedPairs(pairs, find_patches(pairs, size=crop_size), crop_size)
    return pairs


def with_labels_of_folder(
    pairs: PairSource,
    folders: Sequence[str | os.PathLike[str]],
    *,
    values: str,
    classes: int | None = None,
) -> LabelledPairs:
    """Adds the labels of a folder to the pairs of two others.

    Args:
      pairs: of the first two folders, as `pairs.read_pairs` returns them.
      folders: of source a, source b and labels.
      values: how labels are written, one of `pictures.labels.VALUES`.
      classes: number of classes, the unlabelled one included; None accepts all.

    Raises:
      FileNotFoundError, ValueError: if a pair has no labels, or they cannot be used.
    """
    names = [str(group.paths[-1]) for group in find_groups(folders)]

    def read(index: int) -> np.ndarray:
        written = read_labels(names[index])
        return shifted_labels(written, values, classes=classes, name=names[index])

    return LabelledPairs(pairs, names, read)


def with_prepared_labels(
    pairs: PreparedPairs, *, values: str, classes: int | None = None
) -> LabelledPairs:
    """Adds the third pictures of a prepared set as labels.

    Args:
      pairs: a split of the set.
      values: how labels are written, one of `pictures.labels.VALUES`.
      classes: number of classes, the unlabelled one included; None accepts all.

    Raises:
      ValueError: if a pair has no third picture, or it cannot be used.
    """
    names = [f"the labels of pair {index}" for index in range(len(pairs))]

    def read(index: int) -> np.ndarray:
        third = pairs.third(index)
        if third is None or third.ndim != 2:
            raise ValueError(
                f"expected labels in grey with every pair of {pairs.directory}, got "
                f"{'none' if third is None else 'colours'} with "
                f"{pairs.record(index)['stem']}; prepare the set with its masks."
            )
        return shifted_labels(third, values, classes=classes, name=names[index])

    return LabelledPairs(pairs, names, read)


def _folders(source_a: str, source_b: str, labels: str = "") -> list[list[str]]:
    """Returns the folders of each set that lists with commas name."""
    given = {"source_a": source_a, "source_b": source_b, "labels": labels}
    given = {name: text for name, text in given.items() if text}
    if Path(source_a).exists():  # its name may have a comma in it
        return [[*given.values()]]
    lists = {name: text.split(",") for name, text in given.items()}
    counts = {name: len(folders) for name, folders in lists.items()}
    if len(set(counts.values())) > 1:
        *some, last = counts
        raise ValueError(
            f"expected as many folders in {' and '.join(some)} as in {last}, got "
            f"{' and '.join(map(str, counts.values()))}; name them in pairs."
        )
    return [list(folders) for folders in zip(*lists.values(), strict=True)]


def _prepared(
    name: str, data_dir: Path, folders: tuple[str, str, str], align: str, levels: str
) -> PreparedPairs:
    """Opens a prepared set; `folder` and `demo` are prepared if they are not."""
    facts_of(name)  # raises for an unknown name
    if name not in ("folder", "demo"):
        return open_prepared(data_dir, name)
    from refusion_jax.data.builder import Reading, prepare

    if name == "demo":
        with contextlib.suppress(FileNotFoundError):
            return open_prepared(data_dir, name)
        return PreparedPairs(prepare(name, data_dir), "train")
    first, second, third = (Path(folder) if folder else None for folder in folders)
    assert first and second
    target = prepare(
        name,
        data_dir,
        folders={"train": SplitFolders(first, second, third)},
        reading=Reading(align, levels),
        any_scene=True,
    )
    return PreparedPairs(target, "train")
