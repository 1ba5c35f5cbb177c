"""Data sets on disk as shards of records, by tensorflow-datasets without TensorFlow.

A record holds the files of a pair unchanged: nothing is encoded again, so a prepared
picture has the pixels of the original. Preparing decodes every picture once, to leave
out broken ones and to record sizes; `data.prepared` reads the records as luminance.
"""

import contextlib
import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from refusion_jax.data.catalogue import CATALOGUE, facts_of
from refusion_jax.data.demo_pairs import write_demo_pairs
from refusion_jax.data.layout import (
    Listing,
    SplitFolders,
    fingerprint,
    list_files,
    locate,
)
from refusion_jax.data.sources import Luminances, add_to_fingerprint
from refusion_jax.data.survey import Traits, examine, find_leaks, summarise
from refusion_jax.extras import require
from refusion_jax.pictures.alignment import align_pair, check_alignment
from refusion_jax.pictures.codecs import decode_picture, to_luminance
from refusion_jax.pictures.levels import check_rule

if TYPE_CHECKING:
    import filelock
    import tensorflow_datasets as tfds
else:
    filelock = require("filelock", extra="data", why="to prepare data sets")
    tfds = require("tensorflow_datasets", extra="data", why="to prepare data sets")

VERSION = "1.0.0"


@dataclass(frozen=True)
class Reading:
    """How files become luminance pairs; part of a prepared set.

    Attributes:
      align: how pictures of different sizes are aligned, see `pictures.alignment`.
      levels: range rule of 16-bit grey, see `pictures.levels`.
      scene: pattern of the scene in a stem; that of the catalogue if empty.
    """

    align: str = "none"
    levels: str = "full"
    scene: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for unknown choices, before any file is read."""
        check_rule(self.levels)
        check_alignment(self.align)


class FusionPairs(tfds.core.GeneratorBasedBuilder):
    """Builds the data sets of the catalogue, one config per set.

    Records have `stem`, `source_a`, `source_b` and `third` (empty if there is none),
    all bytes. Pairs are in the order of their stems.
    """

    VERSION = tfds.core.Version(VERSION)
    BUILDER_CONFIGS = tuple(
        tfds.core.BuilderConfig(name=name, description=f"{facts.title}. {facts.paper}")
        for name, facts in CATALOGUE.items()
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = "See refusion_jax/data/catalogue.py."
    # There is nothing to download; otherwise tfds 4.9.10 would look for checksums by
    # importlib_resources, which it does not install.
    url_infos = None

    def __init__(
        self,
        *,
        folders: dict[str, SplitFolders] | None = None,
        reading: Reading | None = None,
        progress: bool = False,
        **options: Any,
    ) -> None:
        """Prepares nothing yet.

        Args:
          folders: of each split; found in the manual directory if None.
          reading: how files become luminance pairs; the default if None.
          progress: whether to show a progress bar.
          **options: of tfds.core.GeneratorBasedBuilder; `config` names the data set.
        """
        self._folders = folders
        self._reading = reading or Reading()
        self._progress = progress
        self._traits: dict[str, list[Traits]] = {}
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        facts = facts_of(self.builder_config.name)
        raw_bytes = tfds.features.Scalar(np.object_)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{facts.title}: {facts.published}",
            homepage=facts.url or None,
            citation=facts.citation,
            features=tfds.features.FeaturesDict(
                dict.fromkeys(("stem", "source_a", "source_b", "third"), raw_bytes)
            ),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(
                reading=asdict(self._reading), splits={}, leaks=[]
            ),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Any]:
        folders = self._folders
        if folders is None:
            directory = Path(dl_manager.manual_dir)
            folders = locate(directory, facts_of(self.builder_config.name))
        listings = {split: list_files(each) for split, each in folders.items()}
        self.info.metadata["files"] = fingerprint(listings)
        return {
            split: self._generate_examples(split, listing)
            for split, listing in listings.items()
        }

    def _generate_examples(
        self, split: str, listing: Listing
    ) -> Iterator[tuple[int, dict[str, bytes]]]:
        traits = self._traits.setdefault(split, [])
        skipped = list(listing.skipped)
        digest = hashlib.sha256()
        for pair in tqdm(
            listing.pairs, desc=split, unit="pair", disable=not self._progress
        ):
            third = listing.thirds.get(pair.stem)
            paths = [pair.path_a, pair.path_b, *([third] if third else [])]
            try:
                contents = [path.read_bytes() for path in paths]
                pictures = [
                    decode_picture(content, str(path), levels=self._reading.levels)
                    for content, path in zip(contents, paths, strict=True)
                ]
            except (ValueError, OSError) as error:
                skipped.append(str(error))
                continue
            luminances = self._check(paths, pictures)
            traits.append(examine(pair.stem, (pictures[0], pictures[1]), luminances))
            add_to_fingerprint(digest, luminances)
            yield (
                len(traits) - 1,
                {
                    "stem": pair.stem.encode("utf-8", "surrogateescape"),
                    "source_a": contents[0],
                    "source_b": contents[1],
                    "third": contents[2] if third else b"",
                },
            )
        if not traits:
            raise ValueError(
                f"expected at least one readable pair in {split}, got none; the first "
                f"reason: {skipped[0]}"
            )
        metadata = self.info.metadata
        metadata["splits"][split] = {
            **summarise(traits, skipped),
            "fingerprint": digest.hexdigest(),
        }
        scene = self._reading.scene or facts_of(self.builder_config.name).scene
        metadata["leaks"] = find_leaks(self._traits, scene)

    def _check(self, paths: list[Path], pictures: list[np.ndarray]) -> Luminances:
        """Returns the luminances; raises if sizes differ and `align` does not help."""
        names = (str(paths[0]), str(paths[1]))
        luminances = align_pair(
            to_luminance(pictures[0]),
            to_luminance(pictures[1]),
            self._reading.align,
            names,
        )
        if len(pictures) > 2:
            align_pair(pictures[0], pictures[2], "none", (names[0], str(paths[2])))
        return luminances


def prepare(
    name: str,
    data_dir: Path,
    *,
    source_dir: Path | None = None,
    folders: dict[str, SplitFolders] | None = None,
    reading: Reading | None = None,
    overwrite: bool = False,
    any_scene: bool = False,
    progress: bool = True,
) -> Path:
    """Prepares a data set, unless exactly that set is prepared already.

    Several processes may call this together: one prepares, the others wait.

    An interruption leaves no partial set: shards are written into a folder of another
    name, which is renamed at the end; the next run removes what a killed one left.

    Args:
      name: in the catalogue.
      data_dir: the folder of prepared sets; those of `folder` are in it under a digest
        of their paths.
      source_dir: the pictures, in the layout of the catalogue.
      folders: of each split, instead of source_dir; for the set `folder`.
      reading: how files become luminance pairs; the default if None.
      overwrite: whether to replace a set prepared from other files or settings.
      any_scene: whether a set that was prepared with another scene will do, which only
        tells what leaks are found, not what the pairs are.
      progress: whether to show a progress bar.

    Returns:
      The folder of the prepared set, for `prepared.open_prepared`.

    Raises:
      FileNotFoundError, PermissionError: if there are no pictures to prepare.
      ValueError: for an unknown name, two sizes in a pair without `align`, two pictures
        of one stem, no readable pair, or other files than before.
    """
    reading = reading or Reading()
    facts = facts_of(name)
    if folders is None and source_dir is not None:
        folders = locate(source_dir, facts)
    if name == "folder":
        data_dir = data_dir / f"folder-{_name_of(folders)}"
    target = data_dir / "fusion_pairs" / name / VERSION
    if target.exists() and not overwrite:
        _require_same(target, folders, reading, any_scene=any_scene)
        return target
    data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # Of runs that start together, one prepares the set and the others wait for it.
        stack.enter_context(filelock.FileLock(data_dir / f"{name}.lock"))
        if name == "demo" and (overwrite or not target.exists()):
            made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_demo_pairs(made)
            folders = locate(made, facts)
        if target.exists() and not overwrite:
            _require_same(target, folders, reading, any_scene=any_scene)
            return target
        if folders is None:
            raise FileNotFoundError(
                f"expected the pictures of {facts.title}, got no folder to read; get "
                f"them from {facts.url} and name their folder with --source-dir."
            )
        for leftover in target.parent.glob("incomplete.*"):
            shutil.rmtree(leftover)
        if target.exists():
            shutil.rmtree(target)
        builder = FusionPairs(
            config=name,
            data_dir=data_dir,
            folders=folders,
            reading=reading,
            progress=progress,
        )
        _generate(builder)
    return target


def _name_of(folders: dict[str, SplitFolders] | None) -> str:
    """Returns a name for the user's folders, the same in every run."""
    if folders is None:
        raise FileNotFoundError(
            "expected two folders of pictures, got none; name them both."
        )
    paths = [str(path and path.resolve()) for each in folders.values() for path in each]
    return hashlib.sha256("\n".join(paths).encode(errors="replace")).hexdigest()[:12]


def _generate(builder: FusionPairs) -> None:
    tfds.disable_progress_bar()  # replaced by ours, which counts pairs
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    # tfds announces downloads of unknown size on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=config)


def _require_same(
    target: Path,
    folders: dict[str, SplitFolders] | None,
    reading: Reading,
    *,
    any_scene: bool,
) -> None:
    """Raises if the set was prepared from other files or with other settings."""
    metadata = read_summary(target)
    before = metadata["reading"]
    for name, value in asdict(reading).items():
        if before[name] != value and not (any_scene and name == "scene"):
            raise ValueError(
                f"expected {name}={before[name]!r}, with which {target} was prepared, "
                f"got {value!r}; prepare with overwrite, or into another data_dir."
            )
    if folders is not None:
        listings = {split: list_files(each) for split, each in folders.items()}
        if metadata["files"] != fingerprint(listings):
            raise ValueError(
                f"expected the files from which {target} was prepared, got others; "
                "prepare with overwrite, or into another data_dir."
            )


def read_summary(target: Path) -> dict[str, Any]:
    """Returns what preparing recorded about a set.

    Args:
      target: as `prepare` returns it.

    Returns:
      `reading`, `splits` (of `survey.summarise`), `leaks` (sentences), `files`.

    Raises:
      ValueError: if its metadata files are damaged.
    """
    try:
        metadata = tfds.builder_from_directory(target).info.metadata
        return {
            name: metadata[name] for name in ("reading", "splits", "leaks", "files")
        }
    # tfds raises almost anything on broken files.
    except Exception as error:
        raise ValueError(
            f"expected an intact prepared set, got damaged metadata in {target} "
            f"({type(error).__name__}); prepare it again with --overwrite."
        ) from error
