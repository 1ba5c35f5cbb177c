"""ReFusion as fusing, export and evaluation see it: F with its weights, P's maps."""

from collections.abc import Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.protocol import Luminance
from refusion_jax.methods.refusion import forward
from refusion_jax.methods.refusion.maps import propose_maps
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.methods.refusion.nets.plain import fuse_plainly

MARGIN_NOTE = "margin"  # the metadata of weight files that holds the margin


class ReFusionModel:
    """A `FusionModel` (see `methods.protocol`); safe to share among threads."""

    method = "refusion"

    def __init__(
        self,
        trees: Mapping[str, Params],
        origin: str,
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Stores the weights; the first picture moves them to the devices.

        Args:
          trees: parameter trees by name: "fusion", and "proposal" if maps are needed.
          origin: where the weights come from, for error messages.
          notes: metadata of the weight file; `MARGIN_NOTE` is read: the setting
            `margin`, 0 without the note.

        Raises:
          ValueError: if "fusion" is missing or is not a tree of F, or the margin is not
            a whole number.
        """
        margin = notes.get(MARGIN_NOTE, "0")
        if not (margin.isascii() and margin.isdigit()):
            raise ValueError(
                f"expected a number of pixels as the {MARGIN_NOTE} of {origin}, got "
                f"{margin!r}; export the weights again."
            )
        self._margin = int(margin)
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
        """The number of F's parameters, which optional parts F has, the margin."""
        fusion = self._trees["fusion"]
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(fusion))
        parts = networks.variant(fusion)._asdict()
        return {"parameters": count, **parts, "margin": self._margin}

    def fuse(
        self,
        luminance_a: Luminance,
        luminance_b: Luminance,
        *,
        precision: str = "float32",
    ) -> Luminance:
        """Runs F tile by tile: exact, in the memory of one feature map."""
        margin = self._margin
        pair = (continued(x, margin) for x in (luminance_a, luminance_b))
        fused = forward.fuse_luminance(self._fusion, *pair, precision=precision)
        return jnp.asarray(without(fused, margin))

    def batched(self, source_a: Image, source_b: Image) -> Image:
        """Runs F in the way that is fast on each platform."""
        params = jax.tree.map(jnp.asarray, self._constants)
        margin = self._margin
        around = ((0, 0), (margin, margin), (margin, margin), (0, 0))
        pair = (jnp.pad(x, around, mode="edge") for x in (source_a, source_b))
        fused = in_precision(forward.by_platform, "float32")(params, *pair)
        height, width = source_a.shape[1:3]
        return fused[:, margin : margin + height, margin : margin + width]

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Runs F with standard convolutions only."""
        fuse = partial(fuse_plainly, margin=self._margin)
        return in_precision(fuse, "float32")(self._constants, source_a, source_b)

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
        margin = self._margin
        pair = (continued(x, margin) for x in (luminance_a, luminance_b))
        maps = propose_maps(self._proposal, *pair)
        return {name: np.asarray(without(x, margin)) for name, x in maps.items()}


# Both in numpy: jax would compile a program for each size of picture.
def continued(luminance: Array, margin: int) -> Array:
    """Repeats the outermost pixels of a picture around it.

    >>> continued(jnp.array([[[1.0], [2.0]]]), 1)[..., 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]

    Args:
      luminance: (height, width, 1).
      margin: number of pixels on each side.

    Returns:
      (height + 2 margin, width + 2 margin, 1).
    """
    if not margin:
        return luminance
    around = ((margin, margin), (margin, margin), (0, 0))
    return jnp.asarray(np.pad(np.asarray(luminance), around, mode="edge"))


def without(picture: Array | np.ndarray, margin: int) -> Array | np.ndarray:
    """Cuts the margin off again, which undoes `continued`.

    Args:
      picture: (height + 2 margin, width + 2 margin) or with channels.
      margin: number of pixels on each side.
    """
    return np.asarray(picture)[margin:-margin, margin:-margin] if margin else picture
