"""Pictures with their files' metadata: depth, transparency, colour profile, EXIF.

A fused picture is at each pixel as transparent as the most transparent of its sources:
what one of them does not show is not known. It takes over the following, each from the
first source that has it:

- the ICC profile. Only sources that are grey or coloured like the result count, and a
  profile of another colour space (RGB for a grey result, CMYK) is dropped because it
  cannot apply;
- EXIF: the subject, time, place and camera. The orientation is applied to the pixels
  and left out, as is everything that describes the old file (its size, its strips).

A format keeps what it can store: PNG, TIFF and WebP all three, JPEG all but
transparency, BMP nothing. WebP has no grey pictures, hence no grey profile either.
A grey result has 16 bits if any source has more than 8, a coloured one if any coloured
source has; PNG and TIFF hold them, TIFF in colour or with transparency by tifffile (the
extra `tiff`, without EXIF). `losses` tells beforehand what a format will not keep.
Pillow cannot write EXIF to a compressed TIFF, so a TIFF with EXIF is not compressed.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from refusion_jax.pictures.codecs import (
    Readable,
    open_picture,
    save_content,
    save_image,
)
from refusion_jax.pictures.formats.png import encode_png
from refusion_jax.pictures.formats.tiff_writer import encode_deep_tiff
from refusion_jax.pictures.levels import MAX_LEVEL, is_coloured, to_8_bit, unit_of
from refusion_jax.pictures.notes import note
from refusion_jax.pictures.rasters import Opened, page_count, raster_of

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
# Where a picture tells how it was made: a tag of its own, so that the camera's stay; in
# a TIFF without EXIF, which Pillow could not compress with it, the other.
_ORIGIN_TAGS = (_Tag.ProcessingSoftware, _Tag.Software)
_EXIF_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
_ALPHA_ENDINGS = frozenset({".png", ".tif", ".tiff", ".webp"})
_DEEP_ENDINGS = frozenset({".png", ".tif", ".tiff"})
_MAX_JPEG_EXIF = 65533  # bytes, the capacity of a JPEG segment


class Photograph(NamedTuple):
    """A picture and its metadata.

    Attributes:
      pixels: uint8, uint16, float32 in [0, 1], or float64, measured values without a
        scale; (height, width) or (height, width, 3). Upright.
      alpha: uint8 or uint16, (height, width); None if the picture is opaque.
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
        """Whether the channels differ anywhere."""
        return is_coloured(self.pixels)


def read_photograph(
    path: str | os.PathLike[str] | bytes | Readable, *, page: int | None = None
) -> Photograph:
    """Reads a picture and its metadata.

    Args:
      path: a picture file, its content, or a file object open for reading; the content,
        not the ending, determines the format.
      page: of several pages or frames; None reads the first and says so.

    Returns:
      The pixels at their own depth. An EXIF block that cannot be parsed is left out.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does.

    Warns:
      PictureWarning: if something of the file is left out.
    """
    photograph = open_picture(path, _photograph, page=page)
    if not isinstance(path, str | os.PathLike):
        return photograph
    return photograph._replace(name=str(path))


def count_pages(path: str | os.PathLike[str]) -> int:
    """Returns how many pictures a file holds: pages of a TIFF, frames of a GIF.

    Args:
      path: a picture file.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does.
    """
    return open_picture(path, page_count)


def _photograph(opened: Opened) -> Photograph:
    pixels, alpha, icc_profile = raster_of(opened)
    if opened.image is None:
        return Photograph(pixels, alpha, icc_profile)
    icc_profile = opened.image.info.get("icc_profile") or icc_profile
    return Photograph(pixels, alpha, icc_profile, _exif_of(opened.image))


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


def origin_of(path: str | os.PathLike[str]) -> str | None:
    """Returns what a picture tells about how it was made.

    Args:
      path: a picture file.

    Returns:
      What `write_photograph` was given; None if there is nothing, or not of ours.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does.
    """
    return open_picture(path, _origin)


def _origin(opened: Opened) -> str | None:
    try:
        tags = opened.image.getexif() if opened.image is not None else {}
        texts = [str(tags[tag]) for tag in _ORIGIN_TAGS if tag in tags]
    except Exception:  # as in `_exif_of`
        return None
    return next((text for text in texts if text.startswith("{")), None)


def _with_origin(exif: bytes | None, origin: str) -> bytes:
    tags = Image.Exif()
    if exif is not None:
        tags.load(exif)
    tags[_Tag.ProcessingSoftware] = origin
    return tags.tobytes()


def to_unit(photograph: Photograph, levels: str = "full") -> np.ndarray:
    """Converts the pixels of a photograph to floats.

    Args:
      photograph: a photograph of any depth.
      levels: range rule for more than 8 bits, see `pictures.levels`.

    Returns:
      float32 in [0, 1], of the pixels' shape.

    Raises:
      ValueError: if there is no such rule, or none that fits measured values.

    Examples:
      >>> to_unit(Photograph(np.array([[0, 51, 255]], np.uint8)))
      array([[0. , 0.2, 1. ]], dtype=float32)
    """
    return unit_of(photograph.pixels, levels, photograph.name).astype(np.float32)


def report_idle_levels(photographs: Sequence[Photograph], levels: str) -> None:
    """Says that a range rule was asked for that does not act.

    Args:
      photographs: the sources of a fusion.
      levels: the rule.
    """
    if levels == "full":
        return
    deep = [x for x in photographs if x.pixels.dtype in (np.uint16, np.float64)]
    names = " and ".join(x.name for x in photographs if x.name) or "these sources"
    if not deep:
        note(
            f"levels={levels} has no effect on {names}, which have 8 bits or lie in "
            "[0, 1]; it applies to grey of more than 8 bits."
        )
    elif all(x.pixels.dtype == np.uint16 and x.is_coloured for x in deep):
        note(
            f"levels={levels} has no effect on {names}, whose 16 bits are of colour, "
            "which is read in full."
        )


def from_unit(picture: np.ndarray, sources: Sequence[Photograph]) -> Photograph:
    """Returns a fused picture with the metadata that it takes over from its sources.

    Args:
      picture: floats in [0, 1], (height, width) or (height, width, 3).
      sources: the sources of the fusion; an alpha must have the picture's size.

    Returns:
      A photograph with uint16 pixels if a source that is coloured (for a grey picture:
      any source) has more than 8 bits, and with uint8 pixels otherwise.
    """
    is_coloured = picture.ndim == 3
    is_deep = any(
        source.pixels.dtype in (np.uint16, np.float64)
        and (source.is_coloured or not is_coloured)
        for source in sources
    )
    if is_deep:
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
    exifs = [source.exif for source in sources if source.exif is not None]
    return Photograph(
        pixels,
        _smallest([source.alpha for source in sources if source.alpha is not None]),
        profiles[0] if profiles else None,
        exifs[0] if exifs else None,
    )


def _smallest(alphas: Sequence[np.ndarray]) -> np.ndarray | None:
    if not alphas:
        return None
    if len({alpha.dtype for alpha in alphas}) > 1:
        alphas = [_in_16_bits(alpha) for alpha in alphas]
    return np.asarray(np.minimum.reduce(list(alphas)))


def losses(path: str | os.PathLike[str], photograph: Photograph) -> list[str]:
    """Returns what a file of this name would not keep of a picture.

    Args:
      path: the file to write.
      photograph: what to write.

    Returns:
      Clauses such as "8 of 16 bits"; empty if all is kept.
    """
    ending = Path(path).suffix.lower()
    lost = []
    if photograph.pixels.dtype == np.uint16 and ending not in _DEEP_ENDINGS:
        lost.append("8 of 16 bits")
    elif _takes_tifffile(ending, photograph) and not find_spec("tifffile"):
        lost.append("8 of 16 bits (pip install 'refusion-jax[tiff]' keeps them)")
    if photograph.alpha is not None and ending not in _ALPHA_ENDINGS:
        lost.append("the transparency")
    if photograph.icc_profile is not None and _has_no_profile(ending, photograph):
        lost.append("the ICC profile")
    if not _fits(ending, photograph.exif):
        lost.append("EXIF above 64 kB")
    elif photograph.exif is not None and (
        ending not in _EXIF_ENDINGS or _takes_tifffile(ending, photograph)
    ):
        lost.append("EXIF")
    return lost


def _has_no_profile(ending: str, photograph: Photograph) -> bool:
    return ending == ".bmp" or (ending == ".webp" and photograph.pixels.ndim == 2)


def _fits(ending: str, exif: bytes | None) -> bool:
    return ending not in (".jpg", ".jpeg") or len(exif or b"") <= _MAX_JPEG_EXIF


def _takes_tifffile(ending: str, photograph: Photograph) -> bool:
    """Returns whether Pillow cannot write a picture's 16 bits as TIFF."""
    is_deep = photograph.pixels.dtype == np.uint16 and ending in (".tif", ".tiff")
    return is_deep and (photograph.pixels.ndim == 3 or photograph.alpha is not None)


def write_photograph(
    path: str | os.PathLike[str],
    photograph: Photograph,
    *,
    origin: str | None = None,
    **options: Any,
) -> None:
    """Writes a picture with the metadata that the format can store.

    The file appears complete or not at all.

    Args:
      path: the file; its ending determines the format, see `codecs.write_picture`.
      photograph: a photograph of uint8 or uint16 pixels.
      origin: how it was made, a JSON object of ASCII characters; see `origin_of`. A BMP
        has no place for it.
      **options: of Pillow's writer, such as `quality` of a JPEG.

    Raises:
      FileNotFoundError: if the folder does not exist.
      ValueError: if the ending is not supported.

    Warns:
      PictureWarning: if the format cannot hold all of it, see `losses`.
    """
    ending = Path(path).suffix.lower()
    if lost := losses(path, photograph):
        note(f"{path} does not keep {' and '.join(lost)}; .png keeps all of it.")
    pixels, alpha, icc_profile, exif, _ = photograph
    is_tiff = ending in (".tif", ".tiff")
    if origin is not None and ending in _EXIF_ENDINGS and not (is_tiff and not exif):
        longer = _with_origin(exif, origin)
        # Where both do not fit, the source's own stays.
        exif = longer if _fits(ending, longer) or not _fits(ending, exif) else exif
    if ending not in _ALPHA_ENDINGS:
        alpha = None
    is_deep = pixels.dtype == np.uint16 and ending in _DEEP_ENDINGS
    if _takes_tifffile(ending, photograph) and find_spec("tifffile"):
        save_content(
            path, encode_deep_tiff(_samples(pixels, alpha), icc_profile, origin)
        )
        return
    if is_deep and ending == ".png" and (pixels.ndim == 3 or alpha is not None):
        save_content(path, encode_png(_samples(pixels, alpha), icc_profile, exif))
        return
    if not is_deep or pixels.ndim == 3 or alpha is not None:
        pixels = _in_8_bits(pixels)
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(_in_8_bits(alpha)))
    metadata = dict(options)
    if icc_profile is not None and not _has_no_profile(ending, photograph):
        metadata["icc_profile"] = icc_profile
    if exif is not None and ending in _EXIF_ENDINGS and _fits(ending, exif):
        metadata["exif"] = exif
        if is_tiff:
            metadata["compression"] = None  # Pillow's compressing writer drops EXIF
    elif is_tiff and origin is not None:
        metadata["software"] = origin
    save_image(path, image, **metadata)


def _in_8_bits(samples: np.ndarray) -> np.ndarray:
    return to_8_bit(samples) if samples.dtype == np.uint16 else samples


def _in_16_bits(samples: np.ndarray) -> np.ndarray:
    return samples if samples.dtype == np.uint16 else np.uint16(257) * samples


def _samples(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Returns 16-bit pixels and their alpha as channels of one array."""
    if alpha is None:
        return np.atleast_3d(pixels)
    return np.dstack([pixels, _in_16_bits(alpha)])


def _colour_space(icc_profile: bytes) -> bytes:
    """Returns the colour space that an ICC profile's header names, in four letters."""
    return icc_profile[16:20]
