"""Compares the shipped weights with other methods on all test sets; writes the tables.

    python experiments/compare.py --data=DATA --official=DIR --task=all

DATA holds the sets, as `configs/comparison.py` lists them, DIR the authors' released
weights. Writes a page per set, its scores as JSON, and an overview; with --cards also
the scores on the cards of the weights. What was measured before stays unless its
weights, its library or its pictures are others now: repeating the command resumes a
stopped run, and after new weights it measures only theirs.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from absl import flags
from comparison.cards import update_card
from comparison.pages import OURS, write_pages
from comparison.records import Measured, Record, read_record, write_record
from configs.comparison import AUTHORS, BASELINES, TEST_SETS, TestSet
from launch import launch

from refusion_jax.commands.set_up import use_cache
from refusion_jax.data.pairs import Pair, pictures_by_stem
from refusion_jax.devices.cores import use_all_cores
from refusion_jax.evaluation.candidates import (
    CLASSICAL,
    Candidate,
    FromWeights,
    baselines,
)
from refusion_jax.evaluation.scoring import check_pictures, columns, score
from refusion_jax.extras import version_of
from refusion_jax.files.checksums import sha256_of
from refusion_jax.weights.pretrained import (
    find_pretrained,
    pretrained_file,
    suitable_range,
)

TASKS = tuple(dict.fromkeys(test_set.task for test_set in TEST_SETS.values()))

_DATA = flags.DEFINE_string("data", None, "Folder of the sets.", required=True)
_OFFICIAL = flags.DEFINE_string(
    "official",
    None,
    "Folder of the authors' weights; without it, their rows stay as measured before.",
)
_OUT = flags.DEFINE_string(
    "out", "experiments/results/comparison", "Folder to write to."
)
_CARDS = flags.DEFINE_bool(
    "cards", False, "Also write the scores to the cards of the shipped weights."
)
_TASK = flags.DEFINE_enum("task", "all", ["all", *TASKS], "Sets of which task.")


class Method(NamedTuple):
    """A method to measure.

    Attributes:
      origin: see `comparison.records.Measured`.
      make: makes the candidate, when something is left to measure.
      truth_only: whether it is only compared with true pictures.
    """

    origin: str
    make: Callable[[], Candidate]
    truth_only: bool = False


def main() -> int:
    """Measures what is missing and writes the pages.

    Returns:
      0 when all is written.
    """
    use_all_cores()
    # Metrics are compiled for each size of picture: after new weights not again.
    use_cache(is_wanted=True)
    out = Path(_OUT.value)
    official = Path(_OFFICIAL.value) if _OFFICIAL.value else None
    out.mkdir(parents=True, exist_ok=True)
    for name, test_set in TEST_SETS.items():
        if _TASK.value in ("all", test_set.task):
            print(f"{test_set.title}:")
            methods = methods_for(test_set, official)
            measure(
                out / f"{name}.json",
                test_set,
                Path(_DATA.value) / test_set.folder,
                methods,
            )
    found = {name: read_record(out / f"{name}.json") for name in TEST_SETS}
    # A stopped run may have left a record with one method: nothing to compare yet.
    records = {name: x for name, x in found.items() if x and len(x.methods) > 1}
    write_pages(out, records)
    if _CARDS.value:
        for task in dict.fromkeys(TEST_SETS[name].task for name in records):
            update_card(find_pretrained(task).card, task, records)
    print(f"The tables are in {out.resolve()}")
    return 0


def measure(
    path: Path, test_set: TestSet, folder: Path, methods: Mapping[str, Method]
) -> None:
    """Measures what a record lacks, and writes it after each method.

    Args:
      path: the record, which may be missing.
      test_set: names the sources and the columns.
      folder: of the pictures, with a folder per source in it.
      methods: by name, in the order of the record.

    Raises:
      InputError, FileNotFoundError, ValueError: if pictures or the record are not as
        they should be.
    """
    source_a, source_b = (folder / name for name in test_set.sources)
    truth = folder / test_set.truth if test_set.truth else None
    pictures = _checksum([source_a, source_b, *([truth] if truth else [])])
    known = read_record(path)
    before = known.methods if known and known.pictures == pictures else {}
    pairs: list[Pair] = []
    measured: dict[str, Measured] = {}
    for name, method in methods.items():
        if name in before and before[name].origin == method.origin:
            measured[name] = before[name]
            print(f"  {name}: as measured before")
            continue
        pairs = pairs or check_pictures(source_a, source_b, {}, ground_truth=truth)
        keys = () if method.truth_only else columns("paper", test_set.task)
        scores = score(pairs, method.make(), keys, name=name, progress=True)
        measured[name] = Measured(method.origin, scores)
        # What comes later in the order was perhaps measured before: keep it.
        write_record(path, Record(pictures, {**before, **measured}))
        print(f"  {name}: measured")


def methods_for(test_set: TestSet, official: Path | None) -> dict[str, Method]:
    """Returns what is compared on a test set, in the order of its table.

    Args:
      test_set: one of TEST_SETS.
      official: folder of the authors' weights; None to leave them out.

    Returns:
      Methods by name.

    Raises:
      FileNotFoundError: if the authors' weights are not in the folder.
      ImportError: if OpenCV is not installed.
    """
    task = test_set.task
    ours = pretrained_file(task)
    methods = {OURS: _weights(ours, f"the shipped weights {task}")}
    if official is not None and task in AUTHORS:
        path = official / AUTHORS[task]
        methods["authors"] = _weights(path, f"the authors' {path.name}")
    opencv = f", OpenCV {version_of('opencv-python-headless')}"
    for name in BASELINES:
        methods[name] = _baseline(name, opencv if name in CLASSICAL else "")
    if test_set.truth:
        other = "none" if suitable_range(ours) == "stretch" else "stretch"
        methods[f"{OURS}, --range={other}"] = _weights(
            ours, f"the shipped weights {task}", other
        )._replace(truth_only=True)
        for source, name in zip(
            test_set.sources, ("source_a", "source_b"), strict=True
        ):
            methods[f"{source} alone"] = _baseline(name)._replace(truth_only=True)
    return methods


def _baseline(name: str, version: str = "") -> Method:
    (candidate,) = baselines([name]).values()
    return Method(candidate.origin + version, lambda: candidate)


def _weights(path: Path, what: str, output_range: str | None = None) -> Method:
    if not path.is_file():
        raise FileNotFoundError(
            f"expected {what} at {path}, got no such file; correct --official or "
            "leave it out."
        )
    rule = output_range or suitable_range(path)
    how = "" if rule == "stretch" else f", --range={rule}"
    return Method(
        f"{what}, SHA-256 {sha256_of(path)}{how}",
        lambda: FromWeights(path, output_range=rule),
    )


def _checksum(folders: list[Path]) -> str:
    """Returns a checksum of the names and bytes of all pictures."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in pictures_by_stem(folder).values():
            digest.update(f"{folder.name}/{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    # RuntimeError is how JAX reports that memory has run out.
    launch(main, ImportError, RuntimeError, MemoryError)
