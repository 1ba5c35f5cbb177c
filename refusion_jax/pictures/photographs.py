"""Pictures with their files' metadata: depth, transparency, colour profile, EXIF.

A fused picture takes over the following, each from the first source that has it:

- transparency, unless the picture is opaque everywhere;
- the ICC profile. Only sources that are grey or coloured like the result count, and a
  profile of another colour space (RGB for a grey result, CMYK) is dropped because it
  cannot apply;
- EXIF: the subject, time, place and camera. The orientation is applied to the pixels
  and left out, as is everything that describes the old file (its size, its strips).

A format keeps what it can store: PNG, TIFF and WebP all three, JPEG all but
transparency, BMP nothing. WebP has no grey pictures, hence no grey profile either.
16-bit grey is written to PNG and TIFF; other formats, and pictures with transparency,
get 8 bits. Pillow cannot write 16-bit colour, so colour always has 8 bits; nor can it
write EXIF to a compressed TIFF, so a TIFF with EXIF is not compressed.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import ExifTags, Image, ImageOps

from refusion_jax.pictures.codecs import open_picture, pixels_of, save_image
from refusion_jax.pictures.levels import MAX_LEVEL, to_fraction

Source = str | os.PathLike[str] | np.ndarray | jax.Array

_Tag = ExifTags.Base
# The tags that describe the picture rather than the file that held it.
_KEPT_TAGS = (
    *(_Tag.ImageDescription, _Tag.Make, _Tag.Model, _Tag.Software, _Tag.DateTime),
    *(_Tag.Artist, _Tag.HostComputer, _Tag.Copyright),
    *(_Tag.XResolution, _Tag.YResolution, _Tag.ResolutionUnit),
)
_KEPT_TABLES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_STALE_TAGS = (
    _Tag.ExifImageWidth,
    _Tag.ExifImageHeight,
    _Tag.ExifInteroperabilityOffset,
)
_EXIF_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
_ALPHA_ENDINGS = frozenset({".png", ".tif", ".tiff", ".webp"})
_DEEP_ENDINGS = frozenset({".png", ".tif", ".tiff"})
_MAX_JPEG_EXIF = 65533  # bytes, the capacity of a JPEG segment


class Photograph(NamedTuple):
    """A picture and its metadata.

    Attributes:
      pixels: uint8, uint16 or floats in [0, 1], (height, width); or uint8 or floats in
        [0, 1], (height, width, 3). Upright.
      alpha: uint8, (height, width); None if the picture is opaque.
      icc_profile: the ICC colour profile of the pixels; None if there is none.
      exif: an EXIF block without orientation; None if there is none.
      name: name of the picture for error messages: its file, or empty.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    name: str = ""

    @property
    def is_coloured(self) -> bool:
        """Returns whether the channels differ anywhere."""
        return is_coloured(self.pixels)


def is_coloured(pixels: np.ndarray) -> bool:
    """Returns whether the channels of a picture differ anywhere.

    Args:
      pixels: (height, width), or (height, width, 3).

    Examples:
      >>> is_coloured(np.array([[(7, 7, 7), (7, 7, 8)]], np.uint8))
      True
    """
    return pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())


def read_photograph(path: str | os.PathLike[str]) -> Photograph:
    """Reads a picture and its metadata.

    Args:
      path: a picture file; its content, not its ending, determines the format.

    Returns:
      The pixels as `read_picture` returns them, except that 16-bit grey stays uint16.
      An EXIF block that cannot be parsed is left out.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does.
    """
    return open_picture(path, _photograph)._replace(name=str(path))


def _photograph(image: Image.Image) -> Photograph:
    exif = _exif_of(image)
    icc_profile = image.info.get("icc_profile") or None
    return Photograph(pixels_of(image), _alpha_of(image), icc_profile, exif)


def _alpha_of(image: Image.Image) -> np.ndarray | None:
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    # A key colour of 16-bit grey is left out, because Pillow clips the levels to 8 bits
    # and loses the key when it converts them to RGBA.
    if not has_alpha or image.mode.startswith("I"):
        return None
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    alpha = np.asarray(upright.getchannel("A"))
    return None if (alpha == 255).all() else alpha


def _exif_of(image: Image.Image) -> bytes | None:
    kept = Image.Exif()
    try:
        exif = image.getexif()
        kept.update({tag: exif[tag] for tag in _KEPT_TAGS if tag in exif})
        for table in _KEPT_TABLES:
            entries = exif.get_ifd(table)
            entries = {k: v for k, v in entries.items() if k not in _STALE_TAGS}
            if entries:
                kept[table] = entries
        return kept.tobytes() if len(kept) else None
    # Pillow's parser raises almost any kind of error on blocks that cameras and editors
    # have corrupted.
    except Exception:
        return None


def as_photograph(source: Any) -> Photograph:
    """Checks a source of `fuse` and returns it as a photograph.

    Args:
      source: a file or an array, as `fuse` takes them.

    Returns:
      The pixels, with the metadata if the source is a file.

    Raises:
      FileNotFoundError: if the file is missing.
      ValueError: if the source is not a picture, or its values are out of range.

    Examples:
      >>> as_photograph(np.zeros((4, 8, 1))).pixels.shape
      (4, 8)
    """
    if isinstance(source, Photograph):
        return source
    if isinstance(source, str | os.PathLike):
        return read_photograph(source)
    if not isinstance(source, np.ndarray | jax.Array):
        raise ValueError(
            f"expected a path or an array, got {type(source).__name__}; convert it by "
            "numpy.asarray first."
        )
    array = np.asarray(source)
    is_shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3))
    if not is_shaped or array.size == 0:
        raise ValueError(
            "expected an array of shape (height, width), (height, width, 1) or "
            f"(height, width, 3), got {array.shape}; pass one picture at a time."
        )
    if array.shape[2:] == (1,):
        array = array[..., 0]
    if array.dtype == np.uint8 or (array.dtype == np.uint16 and array.ndim == 2):
        return Photograph(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            "expected uint8, floats in [0, 1] or grey of uint16, got "
            f"{array.dtype} of shape {array.shape}; convert it first."
        )
    # Negated, because every comparison with NaN is false and NaN must fail too.
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"expected floats in [0, 1], got {array.min()} to {array.max()}; scale "
            "the picture first."
        )
    return Photograph(array.astype(np.float32))


def to_unit(photograph: Photograph, levels: str = "full") -> np.ndarray:
    """Converts the pixels of a photograph to floats.

    Args:
      photograph: a photograph of any depth.
      levels: range rule for 16-bit grey, see `pictures.levels`.

    Returns:
      float32 in [0, 1], of the pixels' shape.

    Raises:
      ValueError: if there is no such rule.

    Examples:
      >>> to_unit(Photograph(np.array([[0, 51, 255]], np.uint8)))
      array([[0. , 0.2, 1. ]], dtype=float32)
    """
    pixels = photograph.pixels
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255
    if pixels.dtype == np.uint16:
        return to_fraction(pixels, levels).astype(np.float32)
    return pixels.astype(np.float32)


def from_unit(picture: np.ndarray, sources: Sequence[Photograph]) -> Photograph:
    """Returns a fused picture with the metadata that it takes over from its sources.

    Args:
      picture: floats in [0, 1], (height, width) or (height, width, 3).
      sources: the sources of the fusion; an alpha must have the picture's size.

    Returns:
      A photograph with uint16 pixels if the picture is grey and any source is 16-bit
      grey, and with uint8 pixels otherwise.
    """
    is_coloured = picture.ndim == 3
    is_deep = any(source.pixels.dtype == np.uint16 for source in sources)
    if is_deep and not is_coloured:
        pixels = np.rint(MAX_LEVEL * picture.astype(np.float64)).astype(np.uint16)
    else:
        pixels = np.rint(255 * picture).astype(np.uint8)
    space = b"RGB " if is_coloured else b"GRAY"
    profiles = [
        source.icc_profile
        for source in sources
        if source.icc_profile is not None
        and source.is_coloured == is_coloured
        and _colour_space(source.icc_profile) == space
    ]
    alphas = [source.alpha for source in sources if source.alpha is not None]
    exifs = [source.exif for source in sources if source.exif is not None]
    return Photograph(
        pixels,
        alphas[0] if alphas else None,
        profiles[0] if profiles else None,
        exifs[0] if exifs else None,
    )


def write_photograph(path: str | os.PathLike[str], photograph: Photograph) -> None:
    """Writes a picture with the metadata that the format can store.

    The file appears complete or not at all.

    Args:
      path: the file; its ending determines the format, see `codecs.write_picture`.
      photograph: a photograph of uint8 or uint16 pixels.

    Raises:
      FileNotFoundError: if the folder does not exist.
      ValueError: if the ending is not supported.
    """
    ending = Path(path).suffix.lower()
    pixels, alpha, icc_profile, exif, _ = photograph
    if ending not in _ALPHA_ENDINGS:
        alpha = None
    if pixels.dtype == np.uint16 and (alpha is not None or ending not in _DEEP_ENDINGS):
        pixels = np.rint(to_fraction(pixels) * 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    metadata: dict[str, Any] = {}
    is_spaceless = ending == ".bmp" or (ending == ".webp" and pixels.ndim == 2)
    if icc_profile is not None and not is_spaceless:
        metadata["icc_profile"] = icc_profile
    is_too_long = ending in (".jpg", ".jpeg") and len(exif or b"") > _MAX_JPEG_EXIF
    if exif is not None and ending in _EXIF_ENDINGS and not is_too_long:
        metadata["exif"] = exif
        if ending in (".tif", ".tiff"):
            metadata["compression"] = None  # Pillow's compressing writer drops EXIF
    save_image(path, image, **metadata)


def _colour_space(icc_profile: bytes) -> bytes:
    """Returns the colour space that an ICC profile's header names, in four letters."""
    return icc_profile[16:20]
