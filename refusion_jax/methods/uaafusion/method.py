"""UAAFusion as one record: all that the rest of the package knows about it."""

from collections.abc import Mapping

from refusion_jax.array_types import Params
from refusion_jax.methods.protocol import Method
from refusion_jax.methods.uaafusion.learner import UAAFusionLearner
from refusion_jax.methods.uaafusion.model import UAAFusionModel
from refusion_jax.methods.uaafusion.nets.networks import (
    NetsParams,
    classes_of,
    is_released,
    shapes_of,
)
from refusion_jax.methods.uaafusion.nets.segmentation import Segment
from refusion_jax.methods.uaafusion.settings import PRESETS, Settings


def pairs_in_batch(settings: Settings, batch_size: int) -> int:
    """Returns the number of pairs to draw for a batch: all of it."""
    del settings
    return batch_size


def remark(name: str, tree: Params) -> str:
    """Describes a tree in words: the variant of F, the classes of S.

    Args:
      name: the tree's name.
      tree: the tree's parameters.
    """
    if name == "fusion":
        return "as released" if is_released(tree) else "with data steps"
    return f"{classes_of(tree)} classes" if name == "segmentation" else ""


def verdict(scalars: Mapping[str, float]) -> str:
    """Says what is wrong with what a run has learned; empty if nothing is seen.

    Args:
      scalars: of a validation.
    """
    fused, mean = (scalars.get(f"miou_{name}", 0.0) for name in ("fused", "mean"))
    if fused < mean:
        return (
            "the segmentation network does worse on fused pictures than on the plain "
            f"mean of the sources: mean IoU {fused:.3f} against {mean:.3f}."
        )
    return ""


def model(
    trees: Mapping[str, Params],
    origin: str,
    notes: Mapping[str, str],
    *,
    network: Segment | None = None,
) -> UAAFusionModel:
    """Makes the model; no note of a weight file concerns it.

    Args:
      trees, origin, network: see `UAAFusionModel`.
      notes: not used.
    """
    del notes
    return UAAFusionModel(trees, origin, network=network)


def no_notes(settings: Settings) -> dict[str, str]:
    """Returns nothing: the trees say all."""
    del settings
    return {}


METHOD = Method(
    name="uaafusion",
    title="UAAFusion (TCSVT 2025)",
    trees=NetsParams._fields,
    settings=Settings,
    presets=PRESETS,
    pairs_in_batch=pairs_in_batch,
    shapes=shapes_of,
    remark=remark,
    learner=UAAFusionLearner,
    verdict=verdict,
    model=model,
    notes=no_notes,
    needs_labels=True,
)
