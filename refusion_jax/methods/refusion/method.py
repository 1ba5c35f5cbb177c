"""ReFusion as one record: all that the rest of the package knows about it."""

from refusion_jax.array_types import Params
from refusion_jax.methods.protocol import Method
from refusion_jax.methods.refusion.diagnosis import verdict
from refusion_jax.methods.refusion.learner import ReFusionLearner
from refusion_jax.methods.refusion.model import MARGIN_NOTE, ReFusionModel
from refusion_jax.methods.refusion.nets.networks import NetsParams, shapes_of, variant
from refusion_jax.methods.refusion.settings import PRESETS, STUDIES, Settings
from refusion_jax.methods.setting import require


def pairs_in_batch(settings: Settings, batch_size: int) -> int:
    """Returns the number of pairs to draw for a batch: half of it with swapped copies.

    Args:
      settings: the method's settings.
      batch_size: number of pairs that F sees.

    Raises:
      ValueError: if the batch size is odd and swapped copies make up half of it.
    """
    if not settings.swap:
        return batch_size
    require(batch_size % 2 == 0, "batch_size", "even with swap", batch_size)
    return batch_size // 2


def remark(name: str, tree: Params) -> str:
    """Describes in words which optional parts a tree has.

    Args:
      name: the tree's name.
      tree: the tree's parameters.
    """
    if name != "fusion":
        return ""
    parts = variant(tree)
    words = [
        f"{'with' if is_there else 'without'} {part}"
        for part, is_there in (
            ("interaction", parts.interaction),
            ("gating", parts.gating),
        )
    ]
    return ", ".join([*words, "decision fusion"] if parts.decision else words)


def notes(settings: Settings) -> dict[str, str]:
    """Returns what a weight file says beside its trees: the margin, if there is one.

    Args:
      settings: those of the training.
    """
    return {MARGIN_NOTE: str(settings.margin)} if settings.margin else {}


METHOD = Method(
    name="refusion",
    title="ReFusion (IJCV 2024)",
    trees=NetsParams._fields,
    settings=Settings,
    presets=PRESETS,
    pairs_in_batch=pairs_in_batch,
    shapes=shapes_of,
    remark=remark,
    learner=ReFusionLearner,
    verdict=verdict,
    model=ReFusionModel,
    notes=notes,
    studies=STUDIES,
)
