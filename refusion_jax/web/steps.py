"""Tells how far a stack has come: a model that says each of its fusions."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refusion_jax.array_types import Image
from refusion_jax.methods.protocol import FusionModel, Luminance


class Stepwise(FusionModel):
    """Another model, which tells before each pair that it fuses."""

    def __init__(self, model: FusionModel, tell: Callable[[int], None]) -> None:
        """Wraps a model.

        Args:
          model: fuses.
          tell: hears the number of the fusion, from 1; what it raises ends the work.
        """
        self._model, self._tell, self._count = model, tell, 0

    @property
    def method(self) -> str:
        """The method's name."""
        return self._model.method

    @property
    def facts(self) -> Mapping[str, Any]:
        """A description of the weights."""
        return self._model.facts

    def fuse(
        self, luminance_a: Luminance, luminance_b: Luminance, *, precision: str
    ) -> Luminance:
        """Tells, and fuses."""
        self._count += 1
        self._tell(self._count)
        return self._model.fuse(luminance_a, luminance_b, precision=precision)

    def batched(self, source_a: Image, source_b: Image) -> Image:
        """Fuses batches as the model does."""
        return self._model.batched(source_a, source_b)

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Fuses batches as the model does."""
        return self._model.plainly(source_a, source_b)

    def require_maps(self) -> None:
        """Raises ValueError unless the model makes maps."""
        self._model.require_maps()

    def maps(
        self, luminance_a: Luminance, luminance_b: Luminance
    ) -> dict[str, np.ndarray]:
        """Returns the model's maps."""
        return self._model.maps(luminance_a, luminance_b)
