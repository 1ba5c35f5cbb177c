"""Fusion metrics, exact and named by variant.

`compute(source_a, source_b, fused)` computes all of METRICS for one picture, or those
of METRICS and MEFB_METRICS that are named, `compute_truth(truth, fused)` those of
TRUTH_METRICS; `refusion_jax.score` reads files and colour too. Each function can also
be called directly, under `jit` and `vmap`, on grey levels 0..255, height x width. A
function whose key is in ALL_METRICS has the key as its name; the others are variants
that published tables contain under the same titles.
"""

from refusion_jax.metrics.catalogue import (
    ALL_METRICS,
    MEFB_COLUMNS,
    MEFB_METRICS,
    METRICS,
    PAPER_COLUMNS,
    TRUTH_METRICS,
    WITH_SSIM,
    WITH_VIFF,
    Metric,
    check_keys,
)
from refusion_jax.metrics.chen_blum import qcb, qcb_double_input
from refusion_jax.metrics.compute import compute, compute_truth
from refusion_jax.metrics.correlation import cc, mse, psnr, scd
from refusion_jax.metrics.edges import nabf, nabf_tang_as_called, qabf
from refusion_jax.metrics.feature_information import fmi, fmi_dct, fmi_none
from refusion_jax.metrics.information import en, mi, mi_nats, nmi, qncie
from refusion_jax.metrics.mefb.edges import ei
from refusion_jax.metrics.mefb.exposure import mef_ssim
from refusion_jax.metrics.mefb.information import ce, te, te_mefb
from refusion_jax.metrics.mefb.phase import qp, qp_mefb
from refusion_jax.metrics.mefb.similarity import qc, qc_mefb, qw, qw_edges
from refusion_jax.metrics.mefb.visibility import qcv
from refusion_jax.metrics.ssim import (
    ms_ssim,
    ssim_refusion,
    ssim_skimage,
    ssim_tang,
    ssim_wang,
)
from refusion_jax.metrics.statistics import ag, ag_mefb, sd, sf, sf_mefb
from refusion_jax.metrics.truth import psnr_truth, ssim_truth
from refusion_jax.metrics.vif import viff, vifp_per_source, vifp_sum
from refusion_jax.metrics.yang import qy

__all__ = [
    "ALL_METRICS",
    "MEFB_COLUMNS",
    "MEFB_METRICS",
    "METRICS",
    "PAPER_COLUMNS",
    "TRUTH_METRICS",
    "WITH_SSIM",
    "WITH_VIFF",
    "Metric",
    "ag",
    "ag_mefb",
    "cc",
    "ce",
    "check_keys",
    "compute",
    "compute_truth",
    "ei",
    "en",
    "fmi",
    "fmi_dct",
    "fmi_none",
    "mef_ssim",
    "mi",
    "mi_nats",
    "ms_ssim",
    "mse",
    "nabf",
    "nabf_tang_as_called",
    "nmi",
    "psnr",
    "psnr_truth",
    "qabf",
    "qc",
    "qc_mefb",
    "qcb",
    "qcb_double_input",
    "qcv",
    "qncie",
    "qp",
    "qp_mefb",
    "qw",
    "qw_edges",
    "qy",
    "scd",
    "sd",
    "sf",
    "sf_mefb",
    "ssim_refusion",
    "ssim_skimage",
    "ssim_tang",
    "ssim_truth",
    "ssim_wang",
    "te",
    "te_mefb",
    "viff",
    "vifp_per_source",
    "vifp_sum",
]
