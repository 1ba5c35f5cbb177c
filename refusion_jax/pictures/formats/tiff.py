"""TIFF: the tags are read first, and the pixels by a library that heeds them.

Pillow reads most TIFFs, and some wrongly without a word. Here it reads what a matrix of
tags against plain twins has shown to be right; 16 bits of white-is-zero are inverted,
palettes looked up, pages chosen. All else (separate planes of 16 bits, 10 to 14 bits,
64-bit floats, float colour, 16-bit grey with alpha) is read by tifffile with
imagecodecs, the extra `tiff`: of the libraries that know all of TIFF it is the one that
is kept up, installs as plain wheels, and shows every tag. Where it is missing, such a
file is refused.
"""

import contextlib
import io
import logging
from typing import Any

import numpy as np
from PIL import Image

from refusion_jax.extras import require
from refusion_jax.pictures.formats.deep import (
    deep_samples,
    is_deep,
    layout_of,
    straight,
)
from refusion_jax.pictures.formats.raster import Raster
from refusion_jax.pictures.notes import note

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# The tags that decide how pixels are to be understood.
_SUBFILE, _OLD_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANAR, _COLOURS, _EXTRA, _FORMAT = (
    274,
    277,
    284,
    320,
    338,
    339,
)
_ICC_PROFILE, _NO_DATA = 34675, 42113
_SUB_FILES, _DNG_VERSION = 330, 50706
_REDUCED_OR_MASK = 0b101
CAMERA_RAW = "a camera's raw file, to be developed first"
WHITE_IS_ZERO, BLACK_IS_ZERO, IN_RGB, PALETTE = 0, 1, 2, 3
_UNSIGNED, _SIGNED = 1, 2
_SEPARATE = 2
_PREMULTIPLIED, _STRAIGHT = 1, 2
# Decoded values per byte of the file: no compression of TIFF exceeds it by far.
_MOST_EXPANSION = 3000


def is_tiff(content: bytes) -> bool:
    """Returns whether a file's content begins as a TIFF.

    Args:
      content: of any file.
    """
    return content[:4] in MAGIC


def pages_of(image: Image.Image) -> list[int]:
    """Returns the numbers of the pages that are pictures, not previews or masks.

    Args:
      image: a TIFF opened by Pillow; its page may change.

    Returns:
      At least one number.
    """
    pages = []
    for page in range(getattr(image, "n_frames", 1)):
        image.seek(page)
        tags = image.tag_v2  # type: ignore[attr-defined]
        is_preview = _number(tags.get(_SUBFILE)) & _REDUCED_OR_MASK
        if not is_preview and _number(tags.get(_OLD_SUBFILE)) != 2:
            pages.append(page)
    return pages or [0]


def read_tiff(
    image: Image.Image | None, content: bytes, name: str, page: int | None
) -> Raster:
    """Reads one page of a TIFF.

    Args:
      image: the file opened by Pillow; None where Pillow cannot open it.
      content: of the file.
      name: of the picture, for messages.
      page: its number; None for the first picture, and a note on the others.

    Returns:
      The page, upright.

    Raises:
      ValueError: if the file is broken or of an unknown kind. The message is only the
        reason.
      ImportError: if it takes tifffile and that is missing, with the name of the extra.
    """
    try:
        pages = pages_of(image) if image is not None else None
    except (EOFError, SyntaxError, OSError):  # of a kind that Pillow does not know
        pages = None
    if image is None or pages is None:
        return _by_tifffile(content, name, page)
    image.seek(pages[0])
    _refuse_raw(dict(image.tag_v2), content)  # type: ignore[attr-defined]
    if page is None:
        page = pages[0]
        _report_pages(len(pages), image, name)
    image.seek(page)
    raster = _by_pillow(image, content, name, page)
    return _by_tifffile(content, name, page) if raster is None else raster


def _refuse_raw(tags: dict[int, Any], content: bytes) -> None:
    """Raises for a camera's raw file, whose pages are previews of the picture.

    DNG says so; of others the first page is a reduced copy of what is in a sub-file;
    Canon's writes CR after TIFF's own magic number.
    """
    is_preview = _number(tags.get(_SUBFILE)) & _REDUCED_OR_MASK
    has_hidden = is_preview and _SUB_FILES in tags
    if _DNG_VERSION in tags or has_hidden or content[8:10] == b"CR":
        raise ValueError(CAMERA_RAW)


def _by_pillow(
    image: Image.Image, content: bytes, name: str, page: int
) -> Raster | None:
    """Returns a page that Pillow reads rightly, or None."""
    tags = dict(image.tag_v2)  # type: ignore[attr-defined]
    bits = set(_numbers(tags.get(_BITS, 1)))
    photometric = _number(tags.get(_PHOTOMETRIC))
    sample_format = set(_numbers(tags.get(_FORMAT, _UNSIGNED)))
    mode, layout = image.mode, layout_of(image)
    if len(bits) > 1 or len(sample_format) > 1:
        return None
    is_separate = _number(tags.get(_PLANAR, 1)) == _SEPARATE
    has_planes = is_separate and _number(tags.get(_SAMPLES, 1)) > 1
    if mode == "La" or (has_planes and (max(bits) > 8 or _EXTRA in tags)):
        return None
    _report_extra(tags, name)
    if mode.startswith(("I", "F")):
        return _one_channel(
            image, tags, max(bits), max(sample_format), photometric, name
        )
    if is_deep(image):
        samples = deep_samples(content, page)
        if layout.startswith("RGBa"):
            samples = straight(samples)
        return Raster(
            samples[..., :3], samples[..., 3] if samples.shape[-1] > 3 else None
        )
    if mode == "L" and max(sample_format) == _SIGNED:
        return _measured(np.asarray(image).view(np.int8), tags, name)
    if mode == "P":
        colours = _palette(tags[_COLOURS])
        return Raster(colours[np.minimum(np.asarray(image), len(colours) - 1)])
    return None if max(bits) > 16 else Raster(*_ordinary(image, max(bits), name))


def _ordinary(
    image: Image.Image, bits: int, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    if bits > 8:
        note(f"{name} has {bits} bits a channel of {image.mode}, of which 8 are read.")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")), None
    if image.mode in ("LA", "PA", "RGBA"):
        samples = np.asarray(image if image.mode != "PA" else image.convert("RGBA"))
        pixels = samples[..., :-1]
        return pixels[..., 0] if image.mode == "LA" else pixels, samples[..., -1]
    if image.mode in ("RGB", "RGBX", "CMYK", "YCbCr"):
        return np.asarray(image.convert("RGB")), None
    raise ValueError(f"pixels of the unsupported type {image.mode!r}")


def _one_channel(
    image: Image.Image,
    tags: dict[int, Any],
    bits: int,
    sample_format: int,
    photometric: int,
    name: str,
) -> Raster | None:
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        values = values.astype(np.uint16)  # from another byte order
        return Raster(_scaled(values, bits, photometric))
    if bits == 32 and sample_format == _UNSIGNED:
        values = values.astype(np.int32).view(np.uint32)
    return _measured(values, tags, name)


def _scaled(values: np.ndarray, bits: int, photometric: int) -> np.ndarray:
    """Returns unsigned samples at the depth of 8 or 16 bits, black at zero."""
    white = (1 << bits) - 1
    target = np.uint8 if bits <= 8 else np.uint16
    values = np.minimum(values, white)
    if photometric == WHITE_IS_ZERO:
        values = white - values
    maximum = np.iinfo(target).max
    if white != maximum:
        values = np.rint(values * (maximum / white))
    return np.asarray(values).astype(target)


def _measured(values: np.ndarray, tags: dict[int, Any], name: str) -> Raster:
    """Returns values without a scale; those that mean "no data" become transparent."""
    pixels = values.astype(np.float64)
    missing = ~np.isfinite(pixels)
    text = str(tags.get(_NO_DATA, "")).strip("\0 ")
    with contextlib.suppress(ValueError):  # no such tag, or one without a number
        missing |= pixels == float(text)
    if _number(tags.get(_PHOTOMETRIC, BLACK_IS_ZERO)) == WHITE_IS_ZERO:
        if values.dtype.kind == "u":
            white = (1 << max(_numbers(tags.get(_BITS, 1)))) - 1
            pixels = (white - values).astype(np.float64)
        else:
            note(
                f"{name} says that white is zero, but has signed values or floats; "
                "they are read as they are."
            )
    if not missing.any():
        return Raster(pixels)
    if missing.all():
        raise ValueError("none of its pixels has data")
    where = missing if missing.ndim == 2 else missing.any(axis=-1)
    note(
        f"{name} has {where.sum()} pixels without data; they are read as the lowest "
        "level, and are transparent in the result."
    )
    pixels[missing] = pixels[~missing].min()
    return Raster(pixels, np.where(where, 0, 255).astype(np.uint8))


def _palette(colours: Any) -> np.ndarray:
    """Returns the colours of a palette, (count, 3) of uint8."""
    table = np.asarray(colours, np.uint16).reshape(3, -1).T
    # Some writers store 8-bit levels where 16 bits belong.
    return (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)


def _by_tifffile(content: bytes, name: str, page: int | None) -> Raster:
    tifffile = require("tifffile", extra="tiff", why="to read this kind of TIFF")
    # It would report each odd tag of a damaged file, beside raising an error.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        if page is None:
            pictures = [
                number
                for number, each in enumerate(file.pages)
                if not int(each.subfiletype) & _REDUCED_OR_MASK
            ] or [0]
            page = pictures[0]
            _report_pages(len(pictures), None, name)
        chosen = file.pages[page]
        tags = {tag.code: tag.value for tag in chosen.tags}
        _refuse_raw(tags, content)
        _check_extent(chosen, len(content))
        raster = _from_page(chosen, tags, name)
        icc_profile = tags.get(_ICC_PROFILE)
        return _upright(raster, _number(tags.get(_ORIENTATION)))._replace(
            icc_profile=icc_profile if isinstance(icc_profile, bytes) else None
        )


def _check_extent(page: Any, length: int) -> None:
    """Raises unless the page's size is allowed, and credible for the file's."""
    pixels = int(page.imagewidth) * int(page.imagelength)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > limit:
        raise Image.DecompressionBombError(
            f"Image size ({pixels} pixels) exceeds limit of {limit} pixels"
        )
    octets = pixels * int(page.samplesperpixel) * int(page.bitspersample) // 8
    if octets > _MOST_EXPANSION * length or int(page.imagedepth) > 1:
        raise ValueError("its size does not match its content")


def _from_page(page: Any, tags: dict[int, Any], name: str) -> Raster:
    photometric, bits = int(page.photometric), int(page.bitspersample)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, IN_RGB, PALETTE):
        raise ValueError(f"its colours are of the unsupported kind {photometric}")
    if len(set(_numbers(tags.get(_BITS, 1)))) > 1:
        raise ValueError("its channels differ in depth")
    samples = np.asarray(page.asarray())
    if samples.dtype.kind == "c":
        raise ValueError("its values are complex numbers")
    if samples.ndim == 3 and page.axes[0] == "S":
        samples = np.moveaxis(samples, 0, -1)
    samples = np.atleast_3d(samples)
    _report_extra(tags, name)
    if photometric == PALETTE:
        colours = _palette(page.colormap)
        return Raster(colours[np.minimum(samples[..., 0], len(colours) - 1)])
    count = 3 if photometric == IN_RGB else 1
    if samples.ndim != 3 or samples.shape[-1] < count:
        raise ValueError(f"its shape is {samples.shape}")
    kinds = _numbers(tags.get(_EXTRA, ()))
    has_alpha = bool(kinds) and kinds[0] in (_PREMULTIPLIED, _STRAIGHT)
    # Of more channels than colour and alpha only colour's others are known to be less.
    others = samples.shape[-1] - count - has_alpha
    if others and (count == 1 or samples.shape[-1] - count != len(kinds)):
        raise ValueError(f"it has {samples.shape[-1]} channels")
    if samples.dtype.kind != "u" or bits > 16:
        return _measured(_squeezed(samples[..., :count]), tags, name)
    samples = _scaled(samples[..., : count + has_alpha], bits, BLACK_IS_ZERO)
    if has_alpha and kinds[0] == _PREMULTIPLIED:
        samples = straight(samples)
    pixels = _squeezed(samples[..., :count])
    if photometric == WHITE_IS_ZERO:
        pixels = np.iinfo(pixels.dtype).max - pixels
    return Raster(pixels, samples[..., count] if has_alpha else None)


def _squeezed(samples: np.ndarray) -> np.ndarray:
    return samples[..., 0] if samples.shape[-1] == 1 else samples


def _upright(raster: Raster, orientation: int) -> Raster:
    """Turns a raster by the tag of its orientation."""

    def turned(x: np.ndarray) -> np.ndarray:
        if orientation in (5, 6, 7, 8):
            x = np.swapaxes(x, 0, 1)
        if orientation in (2, 3, 6, 7):
            x = x[:, ::-1]
        return x[::-1] if orientation in (3, 4, 7, 8) else x

    alpha = raster.alpha
    return Raster(turned(raster.pixels), None if alpha is None else turned(alpha))


def _report_pages(count: int, image: Image.Image | None, name: str) -> None:
    if count == 1 and image is not None:
        # ImageJ may describe thousands of pages by the tags of one.
        text = str(image.tag_v2.get(270, ""))  # type: ignore[attr-defined]
        if text.startswith("ImageJ="):
            words = dict(x.partition("=")[::2] for x in text.split())
            count = (
                int(words.get("images", "1"))
                if words.get("images", "1").isdecimal()
                else 1
            )
    if count > 1:
        note(
            f"{name} has {count} pages; the first is fused (give the file alone to "
            "fuse its pages as a stack)."
        )


def _report_extra(tags: dict[int, Any], name: str) -> None:
    """Says that channels are left out that are neither colour nor alpha."""
    unknown = [x for x in _numbers(tags.get(_EXTRA, ())) if x not in (1, 2, 999)]
    if unknown:
        are = "s, which are" if len(unknown) > 1 else ", which is"
        note(f"{name} has {len(unknown)} more channel{are} left out.")


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, tuple | list):
        return tuple(int(x) for x in value)
    return (int(value),)


def _number(value: Any) -> int:
    if isinstance(value, tuple | list):
        value = value[0] if value else 0
    return int(value or 0)
