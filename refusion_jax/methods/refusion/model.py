"""ReFusion as fusing, export and evaluation see it: F with its weights, P's maps."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
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
        """Stores the weights; the first picture moves them to the devices.

        Args:
          trees: parameter trees by name: "fusion", and "proposal" if maps are needed.
          origin: where the weights come from, for error messages.

        Raises:
          ValueError: if "fusion" is missing or is not a tree of F.
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
        """The number of F's parameters, and which optional parts F has."""
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
        """Runs F tile by tile: exact, in the memory of one feature map."""
        return forward.fuse_luminance(
            self._fusion, luminance_a, luminance_b, precision=precision
        )

    def batched(self, source_a: Image, source_b: Image) -> Image:
        """Runs F in the way that is fast on each platform."""
        params = jax.tree.map(jnp.asarray, self._constants)
        return in_precision(forward.by_platform, "float32")(params, source_a, source_b)

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Runs F with standard convolutions only."""
        return in_precision(fuse_plainly, "float32")(
            self._constants, source_a, source_b
        )

    def require_maps(self) -> None:
        """Raises unless the weights include P.

        Raises:
          ValueError: if they do not; the message names their origin.
        """
        if "proposal" not in self._trees:
            raise ValueError(
                "expected weights that include the loss proposal module P, got "
                f"{self._origin} without it; name the folder of a run."
            )

    def maps(
        self, luminance_a: Luminance, luminance_b: Luminance
    ) -> dict[str, np.ndarray]:
        """Returns the learned loss's preference for each source at every pixel.

        Args:
          luminance_a, luminance_b: in [0, 1].

        Returns:
          w_a, w_b (intensity) and v_a, v_b (gradient), float32 in [0, 1];
          w_a + w_b = v_a + v_b = 1.

        Raises:
          ValueError: if the weights do not include P.
        """
        self.require_maps()
        return propose_maps(self._proposal, luminance_a, luminance_b)
