"""The result of calling a `Fuser`: the picture, and what there is to know about it."""

import html
import io
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from refusion_jax.fusing.provenance import to_text
from refusion_jax.pictures.codecs import check_writable
from refusion_jax.pictures.levels import to_8_bit
from refusion_jax.pictures.photographs import Photograph, write_photograph
from refusion_jax.pictures.registration import Motion


class Fusion:
    """A fused picture; a notebook shows it.

    Attributes:
      photograph: pixels, transparency, ICC profile and EXIF.
      registration: how each further source lay on the first, of align="register"; else
        empty.
      provenance: how it was made, as JSON values, see `fusing.provenance`.
    """

    def __init__(
        self,
        photograph: Photograph,
        *,
        provenance: Mapping[str, Any],
        registration: tuple[Motion, ...] = (),
        make_maps: Callable[[], dict[str, np.ndarray]],
    ) -> None:
        """Gathers what belongs to a picture.

        Args:
          photograph, provenance, registration: the attributes.
          make_maps: computes `maps`.
        """
        self.photograph = photograph
        self.provenance = dict(provenance)
        self.registration = registration
        self._make_maps = make_maps

    @property
    def image(self) -> np.ndarray:
        """The pixels as `fuse` returns them: uint8 or uint16, grey or RGB."""
        return self.photograph.pixels

    @cached_property
    def maps(self) -> dict[str, np.ndarray]:
        """What the learned loss prefers, see `Fuser.loss_maps`; computed when asked.

        Raises:
          ValueError: if the weights make no maps, or there are more than two sources.
        """
        return self._make_maps()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns the pixels to NumPy."""
        return np.array(self.image, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        """Names size and type of the picture, and the weights."""
        height, width = self.image.shape[:2]
        kind = "grey" if self.image.ndim == 2 else "colour"
        bits = 8 * self.image.dtype.itemsize
        weights = self.provenance.get("weights") or self.provenance.get("method")
        return f"Fusion({width} x {height}, {kind} of {bits} bits, by {weights})"

    def to_pil(self) -> Image.Image:
        """Returns an image of Pillow's: 8 bits, or grey of 16; with transparency."""
        pixels, alpha = self.image, self.photograph.alpha
        if pixels.dtype == np.uint16 and (pixels.ndim == 3 or alpha is not None):
            pixels = to_8_bit(pixels)
        image = Image.fromarray(pixels)
        if alpha is not None:
            image.putalpha(
                Image.fromarray(to_8_bit(alpha) if alpha.dtype == np.uint16 else alpha)
            )
        return image

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the picture with its metadata and its provenance.

        Args:
          path: its ending chooses the format, see `pictures.codecs.write_picture`.

        Raises:
          FileNotFoundError, ValueError: if it cannot be written.
        """
        check_writable(path)
        write_photograph(path, self.photograph, origin=to_text(self.provenance))

    def _repr_png_(self) -> bytes:
        """Returns the picture for a notebook."""
        encoded = io.BytesIO()
        self.to_pil().save(encoded, format="PNG")
        return encoded.getvalue()

    def _repr_html_(self) -> str:
        """Returns the picture and its description for a notebook."""
        # Here, because Base64 is of no use to whom no notebook looks at.
        from base64 import b64encode

        data = b64encode(self._repr_png_()).decode()
        text = html.escape(repr(self))
        return (
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )
