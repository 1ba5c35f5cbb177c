"""ReFusion as fusing, export and evaluation see it: F with weights, and P's maps."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Luminance
from refusion_jax.methods.refusion import forward
from refusion_jax.methods.refusion.maps import propose_maps
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.methods.refusion.nets.plain import fuse_plainly


class ReFusionModel:
    """A `FusionModel` (see `methods.protocol`); safe to share among threads."""

    method = "refusion"

    def __init__(self, trees: Mapping[str, Params], origin: str) -> None:
        """Takes the weights; they reach the devices with the first picture.

        Args:
          trees: "fusion", and "proposal" where there are to be maps.
          origin: where they are from, for error messages.

        Raises:
          ValueError: if F's are not among them.
        """
        if "fusion" not in trees:
            raise ValueError(
                f"expected weights of the fusion network in {origin}, got only "
                f"{', '.join(trees)}; name a file that contains fusion."
            )
        if not networks.is_fusion(trees["fusion"]):
            raise ValueError(
                "expected a weight file, a run folder or the parameters of the fusion "
                f"network, got {type(trees['fusion']).__name__}; see "
                "weights.store.load_model."
            )
        self._trees, self._origin = dict(trees), origin

    @cached_property
    def _fusion(self) -> Params:
        return forward.place(self._trees["fusion"])

    @cached_property
    def _constants(self) -> Params:
        return jax.tree.map(np.asarray, self._trees["fusion"])

    @cached_property
    def _proposal(self) -> Params:
        return jax.device_put(self._trees["proposal"])

    @property
    def facts(self) -> dict[str, Any]:
        """The number of F's parameters, and the parts it has."""
        fusion = self._trees["fusion"]
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(fusion))
        return {"parameters": count, **networks.variant(fusion)._asdict()}

    def fuse(
        self,
        luminance_a: Luminance,
        luminance_b: Luminance,
        *,
        precision: str = "float32",
    ) -> Luminance:
        """Runs F tile by tile: exact, in memory that the picture's size bounds."""
        return forward.fuse_luminance(
            self._fusion, luminance_a, luminance_b, precision=precision
        )

    def batched(self, source_a: Image, source_b: Image) -> Image:
        """Runs F as it is fast on each platform."""
        return in_precision(forward.by_platform, "float32")(
            self._constants, source_a, source_b
        )

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Runs F in standard convolutions."""
        return in_precision(fuse_plainly, "float32")(
            self._constants, source_a, source_b
        )

    def require_maps(self) -> None:
        """Raises unless the weights have P.

        Raises:
          ValueError: saying where the weights are from.
        """
        if "proposal" not in self._trees:
            raise ValueError(
                "expected weights that include the loss proposal module P, got "
                f"{self._origin} without it; name a run folder of train.py."
            )

    def maps(
        self, luminance_a: Luminance, luminance_b: Luminance
    ) -> dict[str, np.ndarray]:
        """Returns what the learned loss prefers at every pixel.

        Args:
          luminance_a, luminance_b: in [0, 1].

        Returns:
          w_a, w_b (intensity) and v_a, v_b (gradient), float32 in [0, 1];
          w_a + w_b = v_a + v_b = 1.

        Raises:
          ValueError: if the weights have no P.
        """
        self.require_maps()
        return propose_maps(self._proposal, luminance_a, luminance_b)
