"""From an opened picture file to pixels at their own depth, upright."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from refusion_jax.pictures.formats.deep import deep_samples, is_deep, layout_of
from refusion_jax.pictures.formats.netpbm import deep_netpbm
from refusion_jax.pictures.formats.raster import Raster
from refusion_jax.pictures.formats.thermal import temperatures
from refusion_jax.pictures.formats.tiff import pages_of, read_tiff
from refusion_jax.pictures.notes import note

# What Pillow multiplies grey of few bits by, and not the level that is transparent.
_STEPS = {"L;2": 85, "L;4": 17}
_CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000: its size and depth follow


class Opened(NamedTuple):
    """A picture file that is being read.

    Attributes:
      image: as Pillow opened it; None for a TIFF that Pillow does not know.
      content: the whole file.
      name: of the picture, for messages.
      page: which page or frame is wanted; None for the first.
    """

    image: Image.Image | None
    content: bytes
    name: str
    page: int | None = None


def raster_of(opened: Opened) -> Raster:
    """Returns the pixels and the transparency of a picture.

    Args:
      opened: the picture file.

    Returns:
      See `formats.raster.Raster`. An alpha channel that is opaque is None.

    Raises:
      ValueError: if the pixel type is not supported. The message is only the reason;
        `codecs.open_picture` puts it into its own.
    """
    pixels, alpha, icc_profile = _raster(opened)
    if not pixels.size:
        raise ValueError("it has no pixels")
    if alpha is not None and (alpha == np.iinfo(alpha.dtype).max).all():
        alpha = None
    return Raster(as_deep_as_it_is(pixels), alpha, icc_profile)


def as_deep_as_it_is(pixels: np.ndarray) -> np.ndarray:
    """Returns colour of 8 bits that is stored in 16 in 8: it equals its 8-bit twin.

    Args:
      pixels: of any type; all but colour of 16 bits is returned unchanged.

    Examples:
      >>> as_deep_as_it_is(np.array([[[257, 0, 514]]], np.uint16))
      array([[[1, 0, 2]]], dtype=uint8)
    """
    if pixels.dtype == np.uint16 and pixels.ndim == 3 and not (pixels % 257).any():
        return (pixels // 257).astype(np.uint8)
    return pixels


def page_count(opened: Opened) -> int:
    """Returns the number of pages or frames that are pictures.

    Args:
      opened: the picture file.
    """
    image = opened.image
    if image is None:
        return 1
    if image.format == "TIFF":
        return len(pages_of(image))
    # A JPEG's further frames are gain maps and previews.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _raster(opened: Opened) -> Raster:
    image, content, name, page = opened
    if image is None or image.format == "TIFF":
        return read_tiff(image, content, name, _page_of_tiff(opened))
    if (deep := deep_netpbm(content)) is not None:
        return Raster(deep)
    if image.format in ("JPEG", "MPO"):
        if (celsius := temperatures(content, name)) is not None:
            return Raster(celsius)
    elif page is None:
        _report_frames(opened)
    else:
        image.seek(page)
    if image.format == "PNG" and is_deep(image):
        if page:
            raise ValueError("only the first of its frames of 16 bits can be read")
        return _deep_png(image, content)
    _report_depth(image, content, name)
    return _by_mode(image)


def _page_of_tiff(opened: Opened) -> int | None:
    """Returns the page's number among all, previews included."""
    if opened.page is None or opened.image is None:
        return opened.page
    return pages_of(opened.image)[opened.page]


def _deep_png(image: Image.Image, content: bytes) -> Raster:
    samples = deep_samples(content)
    key = image.info.get("transparency")
    if samples.shape[-1] == 2:
        return Raster(samples[..., 0], samples[..., 1])
    if samples.shape[-1] == 4:
        return Raster(samples[..., :3], samples[..., 3])
    return Raster(samples, None if key is None else _opaque_but(samples, key))


def _opaque_but(samples: np.ndarray, key: object) -> np.ndarray:
    """Returns the alpha of a picture in which one level or colour is transparent."""
    is_key = samples == np.asarray(key)
    if is_key.ndim == 3:
        is_key = is_key.all(axis=-1)
    return np.where(is_key, 0, 255).astype(np.uint8)


def _by_mode(image: Image.Image) -> Raster:
    mode, step = image.mode, _STEPS.get(layout_of(image))
    upright = ImageOps.exif_transpose(image)
    if step is not None and "transparency" in upright.info:
        count = 255 // step + 1
        upright.info["transparency"] = upright.info["transparency"] % count * step
    if mode == "I" and image.format == "PNG":
        mode = "I;16"  # as Pillow before version 11 opens 16-bit grey
    if mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        levels = np.asarray(upright).astype(np.uint16)  # from another byte order
        key = image.info.get("transparency")
        return Raster(
            levels, _opaque_but(levels, key) if isinstance(key, int) else None
        )
    if mode == "F":  # PFM
        return Raster(np.asarray(upright).astype(np.float64))
    has_alpha = mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    alpha = None
    if has_alpha:
        alpha = np.asarray(upright.convert("RGBA").getchannel("A"))
    if mode in ("1", "L", "LA"):
        return Raster(np.asarray(upright.convert("L")), alpha)
    if mode in ("P", "PA"):
        # Via RGBA, because Pillow warns about palettes with transparency otherwise.
        return Raster(np.asarray(upright.convert("RGBA").convert("RGB")), alpha)
    if mode in ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr"):
        return Raster(np.asarray(upright.convert("RGB")), alpha)
    raise ValueError(f"pixels of the unsupported type {mode!r}")


def _report_frames(opened: Opened) -> None:
    count = page_count(opened)
    if count > 1:
        can_be_stacked = opened.image is None or not is_deep(opened.image)
        given = "give the file alone" if can_be_stacked else "save each as a file"
        note(
            f"{opened.name} has {count} frames; the first is fused ({given} to fuse "
            "its frames as a stack)."
        )


def _report_depth(image: Image.Image, content: bytes, name: str) -> None:
    """Says that a format's deep colour is read with 8 bits."""
    bits = 8
    if image.format == "JPEG2000" and image.mode in ("RGB", "RGBA", "LA"):
        bits = _jpeg_2000_bits(content)
    elif image.format == "AVIF" and (place := content.find(b"av1C")) >= 0:
        flags = content[place + 6 : place + 7]
        bits = 10 if flags and flags[0] & 0x40 else 8
    elif image.format == "HEIF":
        bits = int(image.info.get("bit_depth", 8))
    if bits > 8:
        note(
            f"{name} has {bits} bits a channel, of which 8 are read; 16-bit PNG or "
            "TIFF keeps them."
        )


def _jpeg_2000_bits(content: bytes) -> int:
    place = content.find(_CODESTREAM)
    depth = content[place + 42 : place + 43] if place >= 0 else b""
    return (depth[0] & 0x7F) + 1 if depth else 8
