r"""Measures align=register: pairs moved by known amounts are to be moved back.

    python experiments/registration.py --data=DIR \\
        --out=experiments/results/registration.md

Each second source is turned by up to 2 degrees, scaled by up to 2 % (unless a scanner
made it) and shifted by up to 3 % of its longer side, at random from a fixed seed, by
Pillow; both are cut to their middle, so that no border tells the motion. An error is
the mean distance of the corners from where they belong, in pixels. What a data set's
own alignment leaves counts too. The settings of `pictures.registration` were chosen on
training pairs, which are not measured here. What was measured is kept beside the table,
in a file that ends in .json, and not measured again.
"""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from absl import flags
from launch import launch
from PIL import Image
from tqdm import tqdm

from refusion_jax import metrics
from refusion_jax.data.pairs import Pair, find_pairs
from refusion_jax.files.atomic import replace_file
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.registering import motion_of
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.names import Movement
from refusion_jax.pictures.photographs import Photograph
from refusion_jax.pictures.registration import Motion

_DATA = flags.DEFINE_string("data", None, "Folder of the data sets.", required=True)
_OUT = flags.DEFINE_string("out", None, "Markdown file to write.", required=True)

# Title, folders of a and b, pairs, weights of the package, largest change of scale
# (scanners know theirs), motion that is looked for.
_PET = "mif/harvard_pet/test/{pet,mri}"
SETS = (
    ("RoadScene", "ivif/roadscene/test/{infrared,visible}", 25, "ivif", 0.02, "auto"),
    ("Lytro", "mfif/lytro/test/{near,far}", 20, "mfif", 0.02, "auto"),
    ("Harvard CT", "mif/harvard_ct/test/{ct,mri}", 10, "mif", 0.0, "auto"),
    ("Harvard SPECT", "mif/harvard_spect/test/{spect,mri}", 20, "mif", 0.0, "auto"),
    ("Harvard PET", _PET, 20, "mif", 0.0, "auto"),
    ("Harvard PET, shifts only", _PET, 20, "mif", 0.0, "translation"),
)
TURN, SHIFT, MARGIN = 2.0, 0.03, 0.06  # degrees, shares of the size
SCORED = 192  # pixels, the side of what is scored: one size, compiled once
KEYS = ("qabf", "viff", "ssim_refusion")


class Result(NamedTuple):
    """What became of one pair; errors in pixels, None if the motion was refused.

    Attributes:
      before, after: errors before and after.
      apart: `after`, but from where the pair lay by the motion found without moving it:
        less what the data set's own alignment leaves.
      stranger: whether the second source of another scene was refused.
      scores: of the results from the pair unmoved, moved and registered, by `KEYS`.
    """

    before: float
    after: float | None
    apart: float | None
    stranger: bool
    scores: list[list[float]]


def moved_by(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Returns the picture whose pixel x is the given one's at matrix @ (x, 1)."""
    turned = matrix[:, :2]
    # Pillow counts from the corners of pixels, not from their middles.
    offset = matrix[:, 2] + 0.5 - turned @ (0.5, 0.5)
    coefficients = np.column_stack([turned, offset]).ravel().tolist()
    image = Image.fromarray(picture)
    made = image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.asarray(made)


def middle_of(picture: np.ndarray) -> np.ndarray:
    """Returns the square of side `SCORED` in the middle of a picture."""
    top, left = ((side - SCORED) // 2 for side in picture.shape[:2])
    return picture[top : top + SCORED, left : left + SCORED]


def random_motion(
    rng: np.random.Generator, size: tuple[int, int], most_scale: float
) -> np.ndarray:
    """Returns a similarity about the middle of a picture of height and width `size`."""
    turn = np.radians(rng.uniform(-TURN, TURN))
    scale = 1 + rng.uniform(-1, 1) * most_scale
    shift = rng.uniform(-SHIFT, SHIFT, 2) * max(size)
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    turned = np.array([[cosine, -sine], [sine, cosine]])
    middle = (np.array(size[::-1]) - 1) / 2
    return np.column_stack([turned, middle + shift - turned @ middle])


def measure(
    pair: Pair, stranger: Path, seed: int, most_scale: float, fuser: Fuser
) -> Result:
    """Moves the second source of a pair, registers it, and compares.

    Args:
      pair: two files of one size, aligned.
      stranger: a second source of another scene.
      seed: of the motion.
      most_scale: by which it may change the size.
      fuser: fuses, and registers what lies apart.
    """
    a, b = read_picture(pair.path_a), read_picture(pair.path_b)
    matrix = random_motion(
        np.random.default_rng(seed), (a.shape[0], a.shape[1]), most_scale
    )
    top, left = (round(MARGIN * side) for side in a.shape[:2])
    inner = np.s_[top:-top, left:-left]
    cut_a, cut_b, other = a[inner], b[inner], moved_by(b, matrix)[inner]
    height, width = cut_a.shape[:2]
    origin = np.array([left, top])
    corners = origin + np.array(list(product((0, width - 1), (0, height - 1))))

    def error(places: np.ndarray, points: np.ndarray = corners) -> float:
        """Mean distance, of points from places looked up in the moved picture."""
        found = places @ matrix[:, :2].T + matrix[:, 2]
        return float(np.linalg.norm(found - points, axis=1).mean())

    def corners_by(motion: Motion) -> np.ndarray:
        return np.array([motion.at(*c) for c in corners - origin]) + origin

    def motion_to(first: np.ndarray, second: np.ndarray) -> Motion | None:
        try:
            return motion_of(Photograph(first), Photograph(second), fuser.rules)
        except ValueError:  # not credible
            return None

    before = error(corners.astype(np.float64))
    is_stranger_refused = motion_to(a, read_picture(stranger)) is None
    try:
        made = fuser(cut_a, other)
    except ValueError:
        return Result(before, None, None, is_stranger_refused, [])
    places = corners_by(made.registration[0])
    unmoved = motion_to(cut_a, cut_b)
    apart = None if unmoved is None else error(places, corners_by(unmoved))
    plain = Fuser(fuser.model)
    first, second = (middle_of(to_luminance(x)) for x in (cut_a, cut_b))
    scores = []
    for fused in (plain.fuse(cut_a, cut_b), plain.fuse(cut_a, other), made.image):
        values = metrics.compute(
            first, second, middle_of(to_luminance(fused)), keys=KEYS
        )
        scores.append([float(values[key]) for key in KEYS])
    return Result(before, error(places), apart, is_stranger_refused, scores)


def main() -> int:
    """Measures all sets, keeps each pair, and writes the tables anew after each set."""
    kept = Path(_OUT.value).with_suffix(".json")
    measured = json.loads(kept.read_bytes()) if kept.exists() else {}
    errors, tables = [], []
    for title, pattern, count, weights, most_scale, motion in SETS:
        head, _, kinds = pattern.partition("{")
        first, second = kinds.rstrip("}").split(",")
        folder = Path(_DATA.value) / head
        pairs = find_pairs(folder / first, folder / second)[:count]
        fuser = Fuser.from_pretrained(
            weights, align="register", border="fill", motion=cast(Movement, motion)
        )
        results = [Result(*x) for x in measured.get(title, [])]
        measured[title] = results
        for seed, pair in enumerate(tqdm(pairs, desc=title)):
            if seed < len(results):
                continue
            stranger = pairs[(seed + len(pairs) // 2) % len(pairs)].path_b
            results.append(measure(pair, stranger, seed, most_scale, fuser))
            replace_file(kept, json.dumps(measured, indent=1).encode())
        errors.append(error_row(title, results))
        tables += score_rows(title, [x.scores for x in results if x.scores])
        replace_file(Path(_OUT.value), page(errors, tables).encode())
    return 0


def error_row(title: str, results: Sequence[Result]) -> str:
    """Returns the line of a set in the table of errors."""
    found = [x for x in results if x.after is not None]
    before = np.array([x.before for x in found])
    after = np.array([x.after for x in found])
    means = [np.mean([x.before for x in results]), after.mean(), np.median(after)]
    means.append(np.mean([x.apart for x in found if x.apart is not None]))
    return (
        f"| {title} | {len(results)} | {len(results) - len(found)} | "
        f"{' | '.join(f'{x:.2f}' for x in means)} | "
        f"{(after <= 1).sum()} of {len(results)} | "
        f"{(after > 2).sum()} of {len(found)} | "
        f"{(after > before).sum()} of {len(found)} | "
        f"{sum(x.stranger for x in results)} of {len(results)} |"
    )


def score_rows(title: str, scores: Sequence[list[list[float]]]) -> list[str]:
    """Returns the lines of a set in the table of scores; none without scores."""
    if not scores:
        return []
    names = ("unmoved", "moved", "registered")
    return [
        f"| {title}, {name} | {len(scores)} | {' | '.join(f'{x:.4f}' for x in row)} |"
        for name, row in zip(names, np.mean(scores, axis=0), strict=True)
    ]


def page(errors: Sequence[str], tables: Sequence[str]) -> str:
    """Returns both tables with what they say."""
    lines = [
        "# Registration",
        "",
        "Pairs moved by a known motion: turned by up to 2 degrees, shifted by up to "
        "3 % of the longer side, photographs also scaled by up to 2 %; and cut to "
        "their middle. Errors are mean distances of the corners in pixels, of the "
        "pairs that were not refused; what a data set's own alignment leaves is part "
        "of them. Less so of `apart`: there a corner belongs where it was found before "
        "the pair was moved. The settings were chosen on training pairs, which are not "
        "among these. `over 2 pixels` and `worse than before` count motions that were "
        "accepted. `strangers`: first sources with the second of another scene of the "
        "set, unmoved (among brains, another slice or patient, which may fit well).",
        "",
        "    python experiments/registration.py --data=DIR "
        "--out=experiments/results/registration.md",
        "",
        "| set | pairs | refused | before, mean | after, mean | after, median | "
        "apart, mean | within 1 pixel | over 2 pixels | worse than before | "
        "strangers refused |",
        "| --- |" + " ---: |" * 10,
        *errors,
    ]
    if tables:
        lines += [
            "",
            "Fused pictures, scored against the unmoved sources in a square of "
            f"{SCORED} pixels in their middle (with `--border=fill`, by the weights "
            "of the package; means over the pairs that were not refused):",
            "",
            f"| pairs | number | {' | '.join(f'`{key}`' for key in KEYS)} |",
            "| --- | ---: | " + " | ".join(["---:"] * len(KEYS)) + " |",
            *tables,
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    launch(main, ImportError)
