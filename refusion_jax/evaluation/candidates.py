"""Sources of fused pictures to score: a folder, weights, or a method without weights.

A candidate is called with a pair and returns the fused picture as a file would hold it:
uint8, grey or colour. Its 8-bit luminance is scored.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from refusion_jax.data.pairs import Pair, pictures_by_stem
from refusion_jax.evaluation import classical
from refusion_jax.fusing import inference
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.pictures.alignment import align_pair, common_size, fit
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.color import rgb_to_luminance
from refusion_jax.pictures.levels import average, to_8_bit
from refusion_jax.pictures.names import Alignment, Range
from refusion_jax.weights.pretrained import suitable_range
from refusion_jax.weights.store import as_model

Fused = UInt8[np.ndarray, "height width *channels"]
ROUNDINGS = ("refusion", "authors")


class Candidate(Protocol):
    """A method that can be scored."""

    @property
    def origin(self) -> str:
        """Describes where the pictures come from."""

    def __call__(self, pair: Pair) -> Fused:
        """Returns the fused picture of a pair."""


class FromFolder:
    """Fused pictures on disk, found by the stem of their pair.

    Attributes:
      folder: the folder of the pictures.
      pictures: file by stem.
      origin: see `Candidate`.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Lists the folder.

        Args:
          folder: a folder of pictures made by any program; their endings may differ
            from those of the sources.

        Raises:
          FileNotFoundError, PermissionError, ValueError: as `pictures_by_stem` does.
        """
        self.folder = Path(folder)
        self.pictures = pictures_by_stem(folder)
        self.origin = f"the pictures in the folder {self.folder.resolve().name}"

    def __call__(self, pair: Pair) -> Fused:
        """Reads the fused picture of a pair.

        Args:
          pair: a pair whose stem is in `pictures`.

        Returns:
          uint8, (height, width) or (height, width, 3).

        Raises:
          FileNotFoundError, ValueError: as `read_picture` does.
        """
        return read_picture(self.pictures[pair.stem])


class FromWeights:
    """Pictures fused on demand, equal to the byte to those that `refusion fuse` writes.

    With the rounding "authors" they are the grey pictures that the paper's numbers fit:
    F's stretched output without colour, rounded by floor(x + 0.499999999). In a colour
    picture, by contrast, the luminance is clipped where a colour would leave the range.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | FusionModel,
        *,
        rounding: str = "refusion",
        output_range: str | None = None,
    ) -> None:
        """Loads the model.

        Args:
          weights: a weight file, a run folder or a model, see `weights.store.as_model`.
          rounding: "refusion" or "authors".
          output_range: "stretch", "none" or "source", see `pictures.ranges`. None: what
            the card beside the weights tells, else "stretch".

        Raises:
          FileNotFoundError, ValueError: if the weights cannot be used or there is no
            such rounding or range.
        """
        if rounding not in ROUNDINGS:
            raise ValueError(
                f"expected rounding to be one of {', '.join(ROUNDINGS)}, got "
                f"{rounding!r}; choose one of these."
            )
        suitable = suitable_range(weights)
        self.rules = Rules(output_range or suitable)
        self.model = as_model(weights)
        self.rounding = rounding
        how = {
            "refusion": "as `refusion fuse` writes it",
            "authors": "grey, rounded as the authors' script does",
        }[rounding]
        name = (
            Path(weights).resolve().name
            if isinstance(weights, str | os.PathLike)
            else weights.method
        )
        if output_range not in (None, suitable):
            how += f", with --range={output_range}"
        self.origin = f"fused with {name}, {how}"

    def __call__(self, pair: Pair) -> Fused:
        """Fuses a pair.

        Args:
          pair: two files of one size.

        Returns:
          uint8, (height, width) or (height, width, 3).

        Raises:
          FileNotFoundError, ValueError: as `fusing.inference.fuse` does.
        """
        if self.rounding == "refusion":
            fused = inference.fuse(
                pair.path_a,
                pair.path_b,
                weights=self.model,
                output_range=cast(Range, self.rules.output_range),
                levels=pair.levels,
                align=cast(Alignment, pair.align),
            )
            # From 16-bit sources it has 16 bits, but metrics take 8-bit pictures.
            return to_8_bit(fused, "full") if fused.dtype == np.uint16 else fused
        luminances = [
            _exact_luminance(path, pair.levels) for path in (pair.path_a, pair.path_b)
        ]
        names = (str(pair.path_a), str(pair.path_b))
        size = common_size([x.shape for x in luminances], pair.align, names)
        luminances = [fit(x, size, pair.align) for x in luminances]
        fused = inference.fuse_pictures(self.model, *luminances, rules=self.rules)
        return np.floor(255 * fused.astype(np.float64) + 0.499999999).astype(np.uint8)


def _exact_luminance(path: Path, levels: str) -> np.ndarray:
    """Returns the luminance in [0, 1] before any rounding."""
    picture = read_picture(path, levels=levels).astype(np.float32) / 255
    if picture.ndim == 2:
        return picture
    return np.asarray(rgb_to_luminance(jnp.asarray(picture))[..., 0])


@dataclass(frozen=True)
class Baseline:
    """A method without weights, which combines two luminances.

    Attributes:
      rule: from uint8 luminances a and b to a uint8 luminance.
      origin: see `Candidate`.
    """

    rule: Callable[[np.ndarray, np.ndarray], np.ndarray]
    origin: str

    def __call__(self, pair: Pair) -> Fused:
        """Applies the rule.

        Args:
          pair: two files of one size.

        Returns:
          uint8, (height, width).
        """
        return self.rule(*read_luminances(pair))


def read_luminances(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Reads both sources in the form that the metrics take.

    Args:
      pair: two picture files.

    Returns:
      The uint8 luminances of a and of b, (height, width).
    """
    return align_pair(
        to_luminance(read_picture(pair.path_a, levels=pair.levels)),
        to_luminance(read_picture(pair.path_b, levels=pair.levels)),
        pair.align,
        (str(pair.path_a), str(pair.path_b)),
    )


BASELINES = {
    "average": Baseline(average, "floor((A + B + 1) / 2) of the luminances"),
    "maximum": Baseline(np.maximum, "max(A, B) of the luminances"),
    "source_a": Baseline(lambda a, b: a, "the luminance of source a alone"),
    "source_b": Baseline(lambda a, b: b, "the luminance of source b alone"),
}
CLASSICAL = {
    "laplacian": Baseline(
        classical.laplacian,
        "Laplacian pyramids of 5 bands, the larger coefficient (Burt & Adelson 1983)",
    ),
    "mertens": Baseline(
        classical.mertens, "exposure fusion (Mertens, Kautz & Van Reeth 2007)"
    ),
    "guided": Baseline(classical.guided, "guided filtering (Li, Kang & Hu 2013)"),
}


def baselines(names: Sequence[str]) -> dict[str, Candidate]:
    """Returns methods without weights by their names.

    Args:
      names: keys of BASELINES or, with the extra `classical`, of CLASSICAL.

    Returns:
      The methods in the given order.

    Raises:
      ValueError: if there is no such method, listing those that there are.
      ImportError: if a classical method is named and OpenCV is not installed.
    """
    known = {**BASELINES, **CLASSICAL}
    for name in names:
        if name not in known:
            raise ValueError(
                f"expected baselines among {', '.join(known)}, got {name!r}; choose "
                "some of these."
            )
    if set(names) & set(CLASSICAL):
        classical.require_opencv()  # before any scoring rather than in the middle
    return {name: known[name] for name in names}
