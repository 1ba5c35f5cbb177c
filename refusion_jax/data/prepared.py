"""Prepared data sets, read as luminance pairs one by one."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.data.sources import Luminances
from refusion_jax.extras import require
from refusion_jax.pictures.alignment import align_pair
from refusion_jax.pictures.codecs import decode_picture, to_luminance


class PreparedPairs:
    """One split of a prepared set; reads pairs on demand.

    It can be pickled, so that worker processes can read.

    Attributes:
      directory: of the prepared set.
      split: "train" or "test".
      sizes: (height, width) of each pair, known without reading it.
      fingerprint: of all pixels, see `sources.fingerprint`.
    """

    def __init__(self, directory: Path, split: str) -> None:
        """Opens a split.

        Args:
          directory: as `builder.prepare` returns it.
          split: "train" or "test".

        Raises:
          FileNotFoundError: if nothing is prepared there.
          ImportError: if tensorflow-datasets is not installed.
          ValueError: if the split does not exist, or its files are damaged.
        """
        self.directory, self.split = directory, split
        self._ends: list[int] = []
        if not (directory / "dataset_info.json").exists():
            raise FileNotFoundError(
                f"expected a prepared data set, got none at {directory}; make it with "
                "refusion prepare."
            )
        tfds = require("tensorflow_datasets", extra="data", why="to read prepared sets")
        try:
            builder = tfds.builder_from_directory(directory)
            splits, metadata = builder.info.splits, builder.info.metadata
            self._reading = dict(metadata["reading"])
        # The readers that tfds calls raise almost anything on broken files.
        except Exception as error:
            raise self._damage(0, error) from error
        if split not in splits:
            raise ValueError(
                f"expected a split of {directory}, got {split!r}; choose "
                f"{' or '.join(splits)}."
            )
        summary = metadata["splits"][split]
        self.sizes = [(height, width) for height, width in summary["sizes"]]
        self.fingerprint: str = summary["fingerprint"]
        self._shards = sorted(splits[split].filenames)
        self._ends = list(accumulate(splits[split].shard_lengths))
        try:
            self._records = builder.as_data_source(split=split)
        except ImportError:
            raise
        except Exception as error:
            raise self._damage(0, error) from error

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self.sizes)

    def __getitem__(self, index: int) -> Luminances:
        """Returns the luminances of a and b, uint8, of one size.

        Raises:
          IndexError: if there is no such pair.
          ValueError: if the shard that holds the pair is damaged.
        """
        record = self.record(index)
        return self._decode(index, record)

    def record(self, index: int) -> dict[str, Any]:
        """Returns the files of a pair, unchanged by preparing.

        Args:
          index: of the pair.

        Returns:
          stem (text); source_a, source_b and third (bytes; third is empty if there is
          none).

        Raises:
          IndexError: if there is no such pair.
          ValueError: if the shard that holds the pair is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(
                f"expected the index of a pair below {len(self)}, got {index}; choose "
                "a smaller one."
            )
        try:
            record = dict(self._records[index])
        except Exception as error:
            raise self._damage(index, error) from error
        record["stem"] = record["stem"].decode("utf-8", "surrogateescape")
        return record

    def third(self, index: int) -> np.ndarray | None:
        """Returns the mask or ground truth of a pair.

        Args:
          index: of the pair.

        Returns:
          uint8, (height, width) or (height, width, 3); None if the set has none.

        Raises:
          ValueError: if the shard that holds the pair is damaged.
        """
        content = self.record(index)["third"]
        return decode_picture(content, f"{self.split} {index}") if content else None

    def require_minimum(self, size: int) -> None:
        """Raises unless a crop fits into every picture.

        Args:
          size: side of the crop, pixels.

        Raises:
          ValueError: naming the first such pair.
        """
        for i, (height, width) in enumerate(self.sizes):
            if min(height, width) < size:
                raise ValueError(
                    f"expected pictures of at least the crop's {size}x{size} pixels, "
                    f"got {self.record(i)['stem']} of {width}x{height} in "
                    f"{self.directory}; choose a smaller crop or remove the pair."
                )

    def _decode(self, index: int, record: dict[str, Any]) -> Luminances:
        names = (f"source a of {record['stem']}", f"source b of {record['stem']}")
        try:
            picture_a, picture_b = (
                to_luminance(
                    decode_picture(record[key], name, levels=self._reading["levels"])
                )
                for key, name in zip(("source_a", "source_b"), names, strict=True)
            )
            pair = align_pair(picture_a, picture_b, self._reading["align"], names)
            if pair[0].shape != self.sizes[index]:
                raise ValueError(f"{names[0]} has another size than before")
        # All pictures were good when they were prepared: the shard is at fault.
        except ValueError as error:
            raise self._damage(index, error) from error
        return pair

    def _damage(self, index: int, error: Exception) -> ValueError:
        """Returns the error for a file that is not as it was written."""
        name = "dataset_info.json"
        if self._ends:
            name = Path(self._shards[bisect_right(self._ends, index)]).name
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        return ValueError(
            f"expected an intact prepared set, got the damaged file {name} in "
            f"{self.directory} ({reason}); prepare it again with --overwrite."
        )


def open_prepared(data_dir: Path, name: str, split: str = "train") -> PreparedPairs:
    """Opens a split by the name of its data set.

    Args:
      data_dir: as given to `experiments/prepare.py`.
      name: in the catalogue.
      split: "train" or "test".

    Returns:
      The pairs.

    Raises:
      FileNotFoundError, ImportError, ValueError: as `PreparedPairs`.
    """
    versions = sorted((data_dir / "fusion_pairs" / name).glob("[0-9]*"))
    folder = versions[-1] if versions else data_dir / "fusion_pairs" / name
    return PreparedPairs(folder, split)
