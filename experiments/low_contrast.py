r"""Measures from which range of the sources on a fused picture may be stretched.

    python experiments/low_contrast.py --data=DIR \\
        --out=experiments/results/low_contrast.md

F answers to the borders of a picture, even of a flat one. Where its answer to the
content is smaller, stretching shows a frame. Real pairs and a ramp are compressed to a
few levels about a grey, fused and stretched; what comes is compared with the same pair
of full contrast. Beside it stand the ranges that pictures of the data sets have.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags
from launch import launch
from PIL import Image

from refusion_jax.data.pairs import find_pairs
from refusion_jax.files.atomic import replace_file
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.pictures.codecs import read_picture, to_luminance

_DATA = flags.DEFINE_string("data", None, "Folder of the data sets.", required=True)
_OUT = flags.DEFINE_string("out", None, "Markdown file to write.", required=True)
_WEIGHTS = flags.DEFINE_string("weights", "ivif", "Weights of the package, or a file.")

SIDE = 112  # pixels, of what is fused
RANGES = (128, 64, 48, 32, 24, 16, 8, 4, 2)  # levels of 255
GREYS = (40, 128)
FOLDERS = (
    "ivif/msrs/*/{infrared,visible}",
    "ivif/roadscene/*/{infrared,visible}",
    "mif/harvard_ct/*/{ct,mri}",
    "mif/harvard_pet/*/{pet,mri}",
    "mif/harvard_spect/*/{spect,mri}",
    "mfif/lytro/*/{near,far}",
    "mfif/mfvoc/*/{near,far}",
    "mfif/nyud/*/{near,far}",
    "meif/mefb/*/{under,over}",
    "meif/sice512/*/{under,over}",
)


def pairs_of(pattern: str) -> Iterator[tuple[Path, Path]]:
    """Yields the files of all pairs of a data set, of all its splits."""
    head, _, kinds = pattern.partition("/*/")
    first, second = kinds[1:-1].split(",")
    for split in sorted((Path(_DATA.value) / head).iterdir()):
        for pair in find_pairs(split / first, split / second):
            yield pair.path_a, pair.path_b


def largest_ranges(pattern: str) -> np.ndarray:
    """Returns the larger range of the two luminances of each pair, in levels."""

    def extent(path: Path) -> int:
        low, high = Image.open(path).convert("RGB").convert("L").getextrema()
        return int(high) - int(low)  # type: ignore[arg-type]

    return np.array([max(map(extent, pair)) for pair in pairs_of(pattern)])


def scenes() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields a title and two luminances: the middles of real pairs, and a ramp."""
    for pattern in FOLDERS:
        title = pattern.split("/")[1]
        pictures = [to_luminance(read_picture(x)) for x in list(pairs_of(pattern))[1]]
        top, left = ((side - SIDE) // 2 for side in pictures[0].shape[:2])
        inner = np.s_[top : top + SIDE, left : left + SIDE]
        yield title, pictures[0][inner], pictures[1][inner]
    rows, columns = np.mgrid[:SIDE, :SIDE] * 255 / (SIDE - 1)
    yield "ramps", columns, rows


def compressed(picture: np.ndarray, extent: int, grey: int) -> np.ndarray:
    """Returns a picture of a range of `extent` levels about a grey, of uint8."""
    unit = (picture - picture.min()) / max(1, np.ptp(picture)) - 0.5
    return np.clip(np.rint(grey + extent * unit), 0, 255).astype(np.uint8)


def main() -> int:
    """Measures and writes the tables."""
    fuser = Fuser(Fuser.from_pretrained(_WEIGHTS.value).model, output_range="none")

    def fused(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return fuser.fuse(a, b).astype(np.float64)

    lines = [
        "# Pictures of little contrast",
        "",
        f"By the weights {_WEIGHTS.value}:",
        "",
        "    python experiments/low_contrast.py --data=DIR "
        "--out=experiments/results/low_contrast.md",
        "",
        "Range of F's output for flat sources of one grey, in levels of 255; all of it "
        "is the effect of the borders:",
        "",
        "| grey | range |",
        "| ---: | ---: |",
    ]
    for grey in (0, 16, 40, 64, 128, 192, 255):
        flat = np.full((SIDE, SIDE), grey, np.uint8)
        lines.append(f"| {grey} | {np.ptp(fused(flat, flat)):.0f} |")
    lines += [
        "",
        "Sources of few levels about a grey: how the stretched result correlates with "
        "that of full contrast, and the range of F's output in levels:",
        "",
        f"| sources | grey | {' | '.join(map(str, RANGES))} |",
        "| --- | ---: |" + " ---: |" * len(RANGES),
    ]
    for title, a, b in scenes():
        whole = fused(compressed(a, 255, 128), compressed(b, 255, 128))
        for grey in GREYS:
            cells = []
            for extent in RANGES:
                few = fused(compressed(a, extent, grey), compressed(b, extent, grey))
                same = np.corrcoef(few.ravel(), whole.ravel())[0, 1]
                cells.append(f"{same:.2f}, {np.ptp(few):.0f}")
            lines.append(f"| {title} | {grey} | {' | '.join(cells)} |")
    lines += [
        "",
        "The larger range of the two luminances of a pair, in levels, over all pairs "
        "of the data sets:",
        "",
        "| set | pairs | smallest | median | below 32 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for pattern in FOLDERS:
        found = largest_ranges(pattern)
        lines.append(
            f"| {pattern.split('/')[1]} | {len(found)} | {found.min()} | "
            f"{np.median(found):.0f} | {(found < 32).sum()} |"
        )
    replace_file(Path(_OUT.value), ("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    launch(main, ImportError)
