r"""Scores fused pictures of any method, and compares methods.

    python experiments/evaluate.py --task=ivif --out=runs/scores \
        --source_a=MSRS/test/ir --source_b=MSRS/test/vi \
        --weights=ReFusion_IVIF.pth --method=other=results/other \
        --baselines=average,maximum,laplacian,mertens,guided --published=msrs

Pictures are paired by stem. Methods appear in this order: weights, folders, baselines.
The others are compared with the first, unless --reference names another.
"""

from pathlib import Path

from absl import flags
from launch import launch

from refusion_jax.devices.cores import use_all_cores
from refusion_jax.evaluation.candidates import (
    BASELINES,
    CLASSICAL,
    ROUNDINGS,
    Candidate,
    FromFolder,
    FromWeights,
    baselines,
)
from refusion_jax.evaluation.comparison import RESAMPLES
from refusion_jax.evaluation.published import published_rows
from refusion_jax.evaluation.results import (
    REPORT_IMAGES,
    ReportOptions,
    write_evaluation,
)
from refusion_jax.evaluation.scoring import columns
from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.pictures.names import RANGES

_SOURCE_A = flags.DEFINE_string(
    "source_a", None, "Folder: infrared, functional, near, under.", required=True
)
_SOURCE_B = flags.DEFINE_string(
    "source_b", None, "Folder: visible, MRI, far, over.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Folder to write to.", required=True)
_WEIGHTS = flags.DEFINE_multi_string(
    "weights",
    [],
    "[NAME=]FILE_OR_RUN: weights to fuse the sources with, or the name of weights that "
    "come with the package. Repeatable.",
)
_METHOD = flags.DEFINE_multi_string(
    "method", [], "[NAME=]FOLDER of fused pictures. Repeatable."
)
_BASELINES = flags.DEFINE_list(
    "baselines",
    [],
    f"Any of {', '.join(BASELINES)}; with the extra `classical` also "
    f"{', '.join(CLASSICAL)}.",
)
_GROUND_TRUTH = flags.DEFINE_string(
    "ground_truth", None, "Folder of true pictures: adds PSNR and SSIM to them."
)
_TASK = flags.DEFINE_string("task", None, "ivif, mif, mfif or meif.")
_COLUMNS = flags.DEFINE_string(
    "columns", "paper", "paper, all, or metrics separated by commas."
)
_PUBLISHED = flags.DEFINE_string(
    "published",
    None,
    "Test set of the paper: show its published rows. Default: ReFusion's, by task.",
)
_REFERENCE = flags.DEFINE_string(
    "reference", None, "Method to compare the others with. Default: the first."
)
_ROUNDING = flags.DEFINE_enum(
    "rounding",
    "refusion",
    ROUNDINGS,
    "With --weights: pictures as `refusion fuse` writes them, or the authors' grey "
    "pictures, rounded by floor(x + 0.499999999).",
)
_RANGE = flags.DEFINE_enum(
    "range", None, RANGES, "With --weights: as --range of `refusion fuse`."
)
_REPORT_IMAGES = flags.DEFINE_integer(
    "report_images", REPORT_IMAGES, "Pairs shown in the report.", lower_bound=0
)
_RESAMPLES = flags.DEFINE_integer(
    "resamples", RESAMPLES, "Resamples of the bootstrap.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the bootstrap.")


def main() -> int:
    """Scores pictures and prints the table.

    Returns:
      0 when all is written.
    """
    use_all_cores()
    keys = columns(_COLUMNS.value, _TASK.value)
    options = ReportOptions(
        published=published_rows(task=_TASK.value, dataset=_PUBLISHED.value),
        reference=_REFERENCE.value,
        images=_REPORT_IMAGES.value,
        resamples=_RESAMPLES.value,
        seed=_SEED.value,
        ground_truth=_GROUND_TRUTH.value,
    )
    tables = write_evaluation(
        _OUT.value, _SOURCE_A.value, _SOURCE_B.value, _methods(), keys, options
    )
    print("\n".join(map(to_markdown, tables)), end="")
    print(f"The report is at {(Path(_OUT.value) / 'report.html').resolve()}")
    return 0


def _methods() -> dict[str, Candidate]:
    """Returns the methods by name, in order; raises ValueError for wrong flags."""
    without_weights = list(baselines(_BASELINES.value).items())
    weights: list[tuple[str, Candidate]] = [
        (
            name,
            FromWeights(path, rounding=_ROUNDING.value, output_range=_RANGE.value),
        )
        for name, path in map(_named, _WEIGHTS.value)
    ]
    folders = [(name, FromFolder(path)) for name, path in map(_named, _METHOD.value)]
    named = [*weights, *folders, *without_weights]
    names = [name for name, _ in named]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"expected a name of its own for each method, got {twice[0]!r} twice; "
            "write NAME=PATH."
        )
    if not named:
        raise ValueError(
            "expected something to score, got no method; give --weights, --method or "
            "--baselines."
        )
    return dict(named)


def _named(text: str) -> tuple[str, Path]:
    """Splits NAME=PATH; a PATH alone is named by its last part."""
    name, equals, path = text.partition("=")
    if equals:
        return name, Path(path)
    return Path(text).resolve().stem, Path(text)


if __name__ == "__main__":
    # RuntimeError is how JAX reports that memory has run out.
    launch(main, ImportError, RuntimeError, MemoryError)
