"""What a segmentation network makes of whole pictures, as counts of pixels."""

from collections.abc import Mapping

import jax
import numpy as np
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.evaluation.segmentation import Counts, confusion
from refusion_jax.methods.uaafusion.losses import best_class
from refusion_jax.methods.uaafusion.nets.networks import classes_of
from refusion_jax.methods.uaafusion.nets.segmentation import segment


def judge(
    trees: Mapping[str, Params], luminance: np.ndarray, labels: np.ndarray
) -> Counts:
    """Counts the pixels of a picture by their true and their predicted class.

    Args:
      trees: "segmentation" and "statistics".
      luminance: (height, width), uint8 or float in [0, 1].
      labels: (height, width).
    """
    segmentation = trees["segmentation"]
    predicted = _predict(segmentation, trees["statistics"], unit(luminance)[None])
    return confusion(np.asarray(predicted)[0], labels, classes_of(segmentation))


def unit(luminance: np.ndarray) -> np.ndarray:
    """Returns luminance as float32 in [0, 1], with a channel axis.

    Args:
      luminance: (height, width), uint8 or float in [0, 1].
    """
    scale = 255 if luminance.dtype == np.uint8 else 1
    return luminance[..., None].astype(np.float32) / np.float32(scale)


@jax.jit
def _predict(segmentation: Params, statistics: Params, image: Image) -> Array:
    return best_class(segment(segmentation, statistics, image))
