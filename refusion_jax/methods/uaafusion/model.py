"""UAAFusion as fusing, export and evaluation see it: F, guided by S or alone."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Luminance
from refusion_jax.methods.uaafusion.attribution import plain
from refusion_jax.methods.uaafusion.guidance import (
    attribute_sources,
    predicted_mask,
    unfold_guided,
    unfold_unguided,
)
from refusion_jax.methods.uaafusion.nets.networks import (
    classes_of,
    is_fusion,
    is_released,
)
from refusion_jax.methods.uaafusion.nets.segmentation import (
    Segment,
    classes_told,
    segment,
)

POINTS = 5  # K_a
SEGMENTING = ("segmentation", "statistics")


class UAAFusionModel:
    """A `FusionModel` (see `methods.protocol`); safe to share among threads.

    With the trees of S, or a network in its place, each picture is attributed and fused
    under guidance. Without, F runs alone, with w_i = w_v = 1/2 and no attention: fast,
    but another picture.
    """

    method = "uaafusion"

    def __init__(
        self,
        trees: Mapping[str, Params],
        origin: str,
        *,
        network: Segment | None = None,
    ) -> None:
        """Stores the weights.

        Args:
          trees: parameter trees by name: "fusion"; for guidance "segmentation" and
            "statistics" as well.
          origin: where the weights come from, for error messages.
          network: a segmentation network of one's own in S's place, see `own`: the same
            object each time, since programs are compiled for it.

        Raises:
          ValueError: if "fusion" is missing or is not a tree of F, or if there is only
            one of the two others.
        """
        if "fusion" not in trees or not is_fusion(trees["fusion"]):
            raise ValueError(
                f"expected weights of UAAFusion's fusion network in {origin}, got "
                f"{', '.join(trees)}; name a file that contains fusion."
            )
        present = [name for name in SEGMENTING if name in trees]
        if len(present) == 1:
            raise ValueError(
                f"expected {' and '.join(SEGMENTING)} together in {origin}, got only "
                f"{present[0]}; name a file with both, or with neither."
            )
        self._origin, self._network = origin, network
        self._is_guided = bool(present) or network is not None
        self._fusion = jax.tree.map(np.asarray, trees["fusion"])
        self._segmentation = tuple(
            jax.tree.map(np.asarray, trees[name]) for name in present
        )

    @property
    def facts(self) -> dict[str, Any]:
        """The number of F's parameters, the variant, the number of S's classes."""
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(self._fusion))
        if self._network is not None:
            classes = classes_told(self._network)
        else:
            classes = classes_of(self._segmentation[0]) if self._is_guided else 0
        return {
            "parameters": count,
            "variant": "official" if is_released(self._fusion) else "paper",
            "classes": classes,
        }

    def fuse(
        self,
        luminance_a: Luminance,
        luminance_b: Luminance,
        *,
        precision: str = "float32",
    ) -> Luminance:
        """Fuses the whole picture at once: memory grows with its size."""
        pair = (jnp.asarray(x)[None] for x in (luminance_a, luminance_b))
        guide, own = self._segmentation, self._network
        return run(self._fusion, guide, *pair, precision, own)["fused"][0]

    def batched(self, source_a: Image, source_b: Image) -> Image:
        """Fuses each pair as `fuse` does.

        Raises:
          ValueError: for sizes that are left open, as in an export: reflection and S's
            interpolation need numbers.
        """
        if not all(isinstance(n, int) for n in source_a.shape):
            raise ValueError(
                f"expected a method that can be exported, got {self._origin} of "
                "uaafusion, which needs to know the size of its pictures; export "
                "weights of refusion."
            )
        return _run(
            self._fusion, self._segmentation, source_a, source_b, self._network
        )["fused"]

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Fuses as `batched` does; its operations are common ones."""
        return self.batched(source_a, source_b)

    def require_maps(self) -> None:
        """Raises unless the weights include S.

        Raises:
          ValueError: if they do not; the message names their origin.
        """
        if not self._is_guided:
            raise ValueError(
                "expected weights that include the segmentation network, got "
                f"{self._origin} without it; name the folder of a run, and leave "
                "out --fast."
            )

    def maps(
        self, luminance_a: Luminance, luminance_b: Luminance
    ) -> dict[str, np.ndarray]:
        """Returns how the sources were weighted, and where S drew attention.

        Args:
          luminance_a, luminance_b: in [0, 1].

        Returns:
          w_i and w_v with sum 1, constant on each predicted region; attention_2 to
          attention_5, the gates sigmoid(A_k) of the stages, 1/2 where S is
          indifferent. float32 in [0, 1].

        Raises:
          ValueError: if the weights do not include S.
        """
        self.require_maps()
        pair = (jnp.asarray(x)[None] for x in (luminance_a, luminance_b))
        guide, own = self._segmentation, self._network
        made = jax.device_get(run(self._fusion, guide, *pair, "float32", own))
        del made["fused"]
        # `jit` sorts the names: the weights of the sources come first.
        names = sorted(made, key=lambda name: (not name.startswith("w_"), name))
        return {name: made[name][0, ..., 0] for name in names}


@partial(jax.jit, static_argnums=(4, 5))
def run(
    fusion: Params,
    guide: Any,
    source_a: Image,
    source_b: Image,
    precision: str = "float32",
    own: Segment | None = None,
) -> dict[str, Array]:
    """Fuses pictures and explains them: one program for both.

    Args:
      fusion: theta_F.
      guide: theta_S and its statistics; empty without S.
      source_a, source_b: luminance in [0, 1].
      precision: see `methods.precision`.
      own: a network in S's place.

    Returns:
      `fused`, and as images the maps of `UAAFusionModel.maps` if there is a guide.
    """
    made: dict[str, Array] = in_precision(partial(_run, own=own), precision)(
        fusion, guide, source_a, source_b
    )
    return made


def _run(
    fusion: Params, guide: Any, a: Image, b: Image, own: Segment | None
) -> dict[str, Image]:
    """Returns the fused pictures and, with a guide, their maps."""
    released = is_released(fusion)
    a, b = jnp.asarray(a), jnp.asarray(b)
    if own is None and not guide:
        return {"fused": unfold_unguided(fusion, a, b, is_released=released).fused}
    network = plain(own or partial(segment, *guide))
    mask = predicted_mask(network, a, b, is_released=released)
    # One point at a time, since the memory of all of them would be ten times as much.
    weights = attribute_sources(
        network, a, b, mask, points=POINTS, is_released=released, at_once=1
    ).weights
    made = unfold_guided(fusion, network, a, b, mask, weights, is_released=released)
    gates = jax.nn.sigmoid(made.stages.attention)
    return {
        "fused": made.fused,
        "w_i": weights[..., :1],
        "w_v": weights[..., 1:],
        **{f"attention_{k + 1}": gates[k] for k in range(1, len(gates))},
    }
