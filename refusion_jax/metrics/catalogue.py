"""The list of metrics, one record per key, and the columns of the paper's tables."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from jaxtyping import Array

from refusion_jax.metrics import (
    chen_blum,
    correlation,
    edges,
    feature_information,
    information,
    ssim,
    statistics,
    truth,
    vif,
    yang,
)
from refusion_jax.metrics.mefb import (
    edges as mefb_edges,
)
from refusion_jax.metrics.mefb import (
    exposure,
    phase,
    similarity,
    visibility,
)
from refusion_jax.metrics.mefb import (
    information as mefb_information,
)


@dataclass(frozen=True)
class Metric:
    """The properties of a metric that a table needs.

    Attributes:
      function: takes `(source_a, source_b, fused)`, or `(fused,)` if `of_fused_alone`;
        in TRUTH_METRICS `(truth, fused)`.
      title: the name in papers, with what distinguishes this variant from others of the
        same name.
      higher_is_better: the direction that papers mark with an arrow.
      unit: unit of the value; empty for a pure number.
      of_fused_alone: whether the metric ignores the sources.
      smallest_side: smallest side in pixels; the metric is undefined for smaller
        pictures.
    """

    function: Callable[..., Array]
    title: str
    higher_is_better: bool = True
    unit: str = ""
    of_fused_alone: bool = False
    smallest_side: int = 1


METRICS: Mapping[str, Metric] = {
    "en": Metric(information.en, "EN", unit="bit", of_fused_alone=True),
    "sd": Metric(statistics.sd, "SD", unit="level", of_fused_alone=True),
    "sf": Metric(
        statistics.sf, "SF", unit="level", of_fused_alone=True, smallest_side=2
    ),
    "ag": Metric(
        statistics.ag, "AG", unit="level", of_fused_alone=True, smallest_side=2
    ),
    "scd": Metric(correlation.scd, "SCD"),
    "cc": Metric(correlation.cc, "CC"),
    "mi": Metric(information.mi, "MI", unit="bit"),
    "nmi": Metric(information.nmi, "NMI"),
    "mse": Metric(correlation.mse, "MSE", False, "level^2"),
    "psnr": Metric(correlation.psnr, "PSNR", unit="dB"),
    "ssim_refusion": Metric(
        ssim.ssim_refusion, "SSIM (mean, L = 2)", smallest_side=len(ssim.BOX)
    ),
    "ssim_wang": Metric(
        ssim.ssim_wang, "SSIM (sum, L = 255)", smallest_side=len(ssim.GAUSSIAN)
    ),
    "ms_ssim": Metric(
        ssim.ms_ssim, "MS-SSIM (sum)", smallest_side=ssim.MS_SSIM_SMALLEST_SIDE
    ),
    "vifp_sum": Metric(vif.vifp_sum, "VIFp (sum)", smallest_side=vif.SMALLEST_SIDE),
    "viff": Metric(vif.viff, "VIFF", smallest_side=vif.SMALLEST_SIDE),
    "qabf": Metric(edges.qabf, "Q_AB/F"),
    "nabf": Metric(edges.nabf, "N_AB/F", False, smallest_side=2),
    "qcb": Metric(chen_blum.qcb, "Q_CB"),
    "qncie": Metric(information.qncie, "Q_NCIE"),
    "qy": Metric(yang.qy, "Q_Y", smallest_side=len(yang.TAPS)),
    "fmi": Metric(feature_information.fmi, "FMI (gradient)", smallest_side=3),
}

# What the benchmark MEFB prints besides: computed where they are named, because Q_P
# takes seconds per picture.
MEFB_METRICS: Mapping[str, Metric] = {
    "ce": Metric(mefb_information.ce, "CE", False, "bit"),
    "te": Metric(mefb_information.te, "TE (q = 1.85)"),
    "ei": Metric(mefb_edges.ei, "EI", unit="level", of_fused_alone=True),
    "qp": Metric(phase.qp, "Q_P"),
    "qc": Metric(similarity.qc, "Q_C", smallest_side=len(yang.TAPS)),
    "qw": Metric(similarity.qw, "Q_W", smallest_side=len(ssim.GAUSSIAN)),
    "qw_edges": Metric(
        similarity.qw_edges, "Q_W (edges)", smallest_side=len(ssim.GAUSSIAN)
    ),
    "qcv": Metric(visibility.qcv, "Q_CV", False, "level^2"),
    "mef_ssim": Metric(
        exposure.mef_ssim, "MEF-SSIM", smallest_side=exposure.SMALLEST_SIDE
    ),
}

# Of the true picture and the fused one, for test sets that have true pictures.
TRUTH_METRICS: Mapping[str, Metric] = {
    "psnr_truth": Metric(truth.psnr_truth, "PSNR to the true picture", unit="dB"),
    "ssim_truth": Metric(
        truth.ssim_truth,
        "SSIM to the true picture",
        smallest_side=len(ssim.GAUSSIAN),
    ),
}
ALL_METRICS: Mapping[str, Metric] = {**METRICS, **MEFB_METRICS, **TRUTH_METRICS}

# The two sets of columns of the paper's tables.
WITH_SSIM = ("en", "sd", "sf", "ag", "scd", "ssim_refusion")
WITH_VIFF = ("en", "sd", "sf", "viff", "qcb", "qncie")
# Columns of Tables 1 to 4 by task, in the paper's order. The paper's "SSIM" is
# consistent with `ssim_refusion`, its "VIF" with `viff`.
PAPER_COLUMNS: Mapping[str, tuple[str, ...]] = dict(
    ivif=WITH_SSIM, mif=WITH_SSIM, mfif=WITH_VIFF, meif=WITH_VIFF
)
# The columns of MEFB's tables, in its order.
MEFB_COLUMNS = (
    *("ce", "en", "fmi", "nmi", "psnr", "qncie", "te"),
    *("ag", "ei", "qabf", "qp", "sd", "sf"),
    *("qc", "qw_edges", "qy", "mef_ssim", "qcb", "qcv", "viff"),
)


def check_keys(keys: Iterable[str] | None) -> tuple[str, ...]:
    """Raises unless all keys are metrics of sources and fused picture.

    Args:
      keys: keys of METRICS or MEFB_METRICS, at least one; None for all of METRICS.

    Returns:
      The keys in the given order, without repetitions.

    Raises:
      ValueError: if there is no such metric, naming similar ones, or no key at all.

    Examples:
      >>> check_keys(["sd", "en", "sd"])
      ('sd', 'en')
      >>> check_keys(["ms_sim"])  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ValueError: expected metrics among en, ..., got 'ms_sim'; did you mean ms_ssim...?
    """
    if keys is None:
        return tuple(METRICS)
    keys = tuple(dict.fromkeys(keys))
    choices = (*METRICS, *MEFB_METRICS)
    unknown = [key for key in keys if key not in choices]
    if not unknown and keys:
        return keys
    cure = "choose some of these."
    if unknown and (similar := _similar(unknown[0], choices)):
        first = ", ".join(similar[:-1])
        cure = f"did you mean {first}{' or ' if first else ''}{similar[-1]}?"
    raise ValueError(
        f"expected metrics among {', '.join(choices)}, got "
        f"{repr(unknown[0]) if unknown else 'none'}; {cure}"
    )


def _similar(word: str, choices: Iterable[str]) -> list[str]:
    """Returns the keys that contain a word, or those that are spelled like it."""
    word = word.lower().replace("-", "_")
    choices = list(choices)
    if word in choices:
        return [word]
    inside = [x for x in choices if word and word in x]
    return inside or get_close_matches(word.replace("/", ""), choices)
