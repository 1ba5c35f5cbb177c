r"""Measures align=register: pairs moved by known amounts are to be moved back.

    python experiments/registration.py --data=DIR \\
        --out=experiments/results/registration.md

Each second source is turned by up to 2 degrees, scaled by up to 2 % (unless a scanner
made it) and shifted by up to 3 % of its longer side, at random from a fixed seed, by
Pillow; both are cut to their middle, so that no border tells the motion. An error is
the mean distance of the corners from where they belong, in pixels. What a data set's
own alignment leaves counts too. The settings of `pictures.registration` were chosen on
training pairs, which are not measured here.
"""

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
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.codecs import read_picture, to_luminance
from refusion_jax.pictures.names import Movement
from refusion_jax.pictures.photographs import Photograph

_DATA = flags.DEFINE_string("data", None, "Folder of the data sets.", required=True)
_OUT = flags.DEFINE_string("out", None, "Markdown file to write.", required=True)
_FUSED = flags.DEFINE_bool("fused", True, "Fuse the pairs as well, and score them.")

# Title, folders of a and b, pairs, weights of the package, largest change of scale
# (scanners know theirs), motion that is looked for.
_PET = "mif/harvard_pet/test/{pet,mri}"
SETS = (
    ("RoadScene", "ivif/roadscene/test/{infrared,visible}", 25, "ivif", 0.02, "auto"),
    ("Lytro", "mfif/lytro/test/{near,far}", 20, "mfif", 0.02, "auto"),
    ("Harvard CT", "mif/harvard_ct/test/{ct,mri}", 10, "mif", 0.0, "auto"),
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
      scores: of the results from the pair unmoved, moved and registered, by `KEYS`.
    """

    before: float
    after: float | None
    apart: float | None
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
    pair: Pair, seed: int, most_scale: float, rules: Rules, fuser: Fuser | None
) -> Result:
    """Moves the second source of a pair, registers it, and compares.

    Args:
      pair: two files of one size, aligned.
      seed: of the motion.
      most_scale: by which it may change the size.
      rules: of the registration.
      fuser: fuses, where results are to be scored.
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

    def corners_at(second: np.ndarray) -> np.ndarray:
        found = motion_of(Photograph(cut_a), Photograph(second), rules)
        return np.array([found.at(*c) for c in corners - origin]) + origin

    after = apart = None
    try:
        places = corners_at(other)
        after = error(places)
        apart = error(places, corners_at(cut_b))
    except ValueError:  # not credible
        pass
    scores = []
    if fuser is not None and after is not None:
        registering = Fuser(
            fuser.model,
            align="register",
            border="fill",
            motion=cast(Movement, rules.motion),
        )
        first, second = (middle_of(to_luminance(x)) for x in (cut_a, cut_b))
        for fused in (
            fuser.fuse(cut_a, cut_b),
            fuser.fuse(cut_a, other),
            registering.fuse(cut_a, other),
        ):
            values = metrics.compute(
                first, second, middle_of(to_luminance(fused)), keys=KEYS
            )
            scores.append([float(values[key]) for key in KEYS])
    return Result(error(corners.astype(np.float64)), after, apart, scores)


def main() -> int:
    """Measures all sets and writes the tables, anew after each set."""
    errors, tables = [], []
    for title, pattern, count, weights, most_scale, motion in SETS:
        rules = Rules(align="register", motion=motion)
        head, _, kinds = pattern.partition("{")
        first, second = kinds.rstrip("}").split(",")
        folder = Path(_DATA.value) / head
        pairs = find_pairs(folder / first, folder / second)[:count]
        fuser = Fuser.from_pretrained(weights) if _FUSED.value else None
        results = [
            measure(pair, seed, most_scale, rules, fuser)
            for seed, pair in enumerate(tqdm(pairs, desc=title))
        ]
        errors.append(error_row(title, results))
        tables += score_rows(title, [x.scores for x in results if x.scores])
        replace_file(Path(_OUT.value), page(errors, tables).encode())
    return 0


def error_row(title: str, results: Sequence[Result]) -> str:
    """Returns the line of a set in the table of errors."""
    found = [x for x in results if x.after is not None]
    after = np.array([x.after for x in found])
    means = [np.mean([x.before for x in results]), after.mean(), np.median(after)]
    means.append(np.mean([x.apart for x in found if x.apart is not None]))
    return (
        f"| {title} | {len(results)} | {len(results) - len(found)} | "
        f"{' | '.join(f'{x:.2f}' for x in means)} | "
        f"{(after <= 1).sum()} of {len(results)} |"
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
        "among these.",
        "",
        "    python experiments/registration.py --data=DIR "
        "--out=experiments/results/registration.md",
        "",
        "| set | pairs | refused | before, mean | after, mean | after, median | "
        "apart, mean | within 1 pixel |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
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
