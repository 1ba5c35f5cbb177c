"""The pairs of a run, from the name of a data set or from two folders."""

from pathlib import Path

from refusion_jax.data.catalogue import facts_of
from refusion_jax.data.layout import SplitFolders
from refusion_jax.data.pairs import find_pairs, read_pairs
from refusion_jax.data.patches import PatchedPairs, find_patches
from refusion_jax.data.prepared import PreparedPairs, open_prepared
from refusion_jax.data.sources import JoinedPairs, PairSource


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
            "expected a data set or two folders of pictures, got "
            f"{'one folder' if source_a or source_b else 'neither'}; give --dataset, "
            "or --source_a and --source_b."
        )
    pairs: PairSource
    if dataset:
        pairs = _prepared(dataset, Path(data_dir), source_a, source_b, align, levels)
    else:
        sets = [
            read_pairs(
                find_pairs(folder_a, folder_b),
                minimum_size=None if patches else crop_size,
                align=align,
                levels=levels,
            )
            for folder_a, folder_b in _folders(source_a, source_b)
        ]
        pairs = sets[0] if len(sets) == 1 else JoinedPairs(sets)
    if patches:
        return PatchedPairs(pairs, find_patches(pairs, size=crop_size), crop_size)
    if isinstance(pairs, PreparedPairs):
        pairs.require_minimum(crop_size)
    return pairs


def _folders(source_a: str, source_b: str) -> list[tuple[str, str]]:
    """Returns the pairs of folders that two lists with commas name."""
    if Path(source_a).exists():  # its name may have a comma in it
        return [(source_a, source_b)]
    folders_a, folders_b = source_a.split(","), source_b.split(",")
    if len(folders_a) != len(folders_b):
        raise ValueError(
            f"expected as many folders in source_a as in source_b, got "
            f"{len(folders_a)} and {len(folders_b)}; name them in pairs."
        )
    return list(zip(folders_a, folders_b, strict=True))


def _prepared(
    name: str, data_dir: Path, source_a: str, source_b: str, align: str, levels: str
) -> PreparedPairs:
    facts_of(name)  # raises for an unknown name
    if name not in ("folder", "demo"):
        return open_prepared(data_dir, name)
    from refusion_jax.data.builder import Reading, prepare

    if name == "demo":
        return PreparedPairs(prepare(name, data_dir), "train")
    folders = SplitFolders(Path(source_a), Path(source_b))
    target = prepare(
        name, data_dir, folders={"train": folders}, reading=Reading(align, levels)
    )
    return PreparedPairs(target, "train")
