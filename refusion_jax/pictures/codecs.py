"""Reads picture files as uint8 arrays and writes them, by means of Pillow."""

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from refusion_jax.files.atomic import replace_file
from refusion_jax.pictures.levels import check_rule, to_8_bit

# The decoders that may run. The list is needed for safety: Pillow recognises a file by
# its content and would start an external interpreter for PostScript named `.png`.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
# File name endings that `write_picture` supports, with Pillow's format and options.
WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".webp": ("WEBP", {"lossless": True}),
}
# File name endings (in lower case) that mark a file as a picture.
PICTURE_ENDINGS = frozenset({*WRITERS, ".gif", ".pgm", ".ppm", ".pbm", ".jp2"})

Content = TypeVar("Content")


def _from_palette(image: Image.Image) -> np.ndarray:
    # Via RGBA, because Pillow warns about palettes with transparency otherwise.
    return np.asarray(image.convert("RGBA").convert("RGB"))


def _converted_to(mode: str) -> Callable[[Image.Image], np.ndarray]:
    return lambda image: np.asarray(image.convert(mode))


_READERS: dict[str, Callable[[Image.Image], np.ndarray]] = {
    **dict.fromkeys(("1", "L", "LA"), _converted_to("L")),
    **dict.fromkeys(("RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), _converted_to("RGB")),
    **dict.fromkeys(("P", "PA"), _from_palette),
}
_GREY_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: str | os.PathLike[str], *, levels: str = "full") -> np.ndarray:
    """Reads a picture as 8-bit grey or RGB.

    Grey pictures become (height, width); palettes, CMYK and all other colour become
    (height, width, 3), even where the three channels are equal. Transparency is
    dropped, the EXIF orientation is applied, and only the first of several frames is
    read. 16-bit grey is converted by a range rule. For 16-bit colour, and for 16-bit
    grey with transparency, which Pillow opens as colour, the high byte is read.

    Args:
      path: a picture file; its content, not its ending, determines the format.
      levels: range rule for 16-bit grey, see `pictures.levels`; "full" divides by 257
        and rounds.

    Returns:
      uint8, (height, width) or (height, width, 3), 0..255.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the path is a folder; if the file is empty, not a picture,
        truncated, of an unsupported pixel type, or above Pillow's limit on the number
        of pixels; or if there is no such rule.
    """
    check_rule(levels)
    return open_picture(path, partial(_decode, levels=levels))


def open_picture(
    path: str | os.PathLike[str], read: Callable[[Image.Image], Content]
) -> Content:
    """Opens a picture file of a known format within Pillow's limit on pixels.

    Args:
      path: a picture file.
      read: extracts the wanted content from the opened image.

    Returns:
      The value that `read` returns.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does, including if `read` fails.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"expected a picture file, got the folder {path}; name a file."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"expected a picture file, got no file at {path}; check the path."
        )
    if path.stat().st_size == 0:
        raise ValueError(f"expected a picture, got the empty file {path}; replace it.")
    return _read(path, str(path), read)


def decode_picture(encoded: bytes, name: str, *, levels: str = "full") -> np.ndarray:
    """Decodes the content of a picture file as `read_picture` does.

    Args:
      encoded: the complete content of a picture file.
      name: name of the picture for error messages.
      levels: as for `read_picture`.

    Returns:
      uint8, (height, width) or (height, width, 3), 0..255.

    Raises:
      ValueError: as `read_picture` does.
    """
    if not encoded:
        raise ValueError(f"expected a picture, got the empty file {name}; replace it.")
    check_rule(levels)
    return _read(io.BytesIO(encoded), name, partial(_decode, levels=levels))


def _read(
    source: Path | io.BytesIO, name: str, read: Callable[[Image.Image], Content]
) -> Content:
    Image.init()  # before this call Pillow knows only five of the formats
    try:
        with Image.open(source, formats=FORMATS) as image:
            return read(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"expected a picture of moderate size, got {name} ({error}); crop it, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS (`refusion fuse --max-pixels`) if you "
            "trust the file."
        ) from error
    except PermissionError:
        raise
    # Pillow's decoders raise almost any kind of error on broken files.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "its content is in no supported format"
        raise ValueError(
            f"expected a readable picture, got {name} ({reason.rstrip('.')}); "
            "replace it or convert it to 8-bit PNG."
        ) from error


def _decode(image: Image.Image, levels: str = "full") -> np.ndarray:
    pixels = pixels_of(image)
    return to_8_bit(pixels, levels) if pixels.dtype == np.uint16 else pixels


def pixels_of(image: Image.Image) -> np.ndarray:
    """Returns the pixels of an opened image, upright, at the depth that Pillow reads.

    Args:
      image: an image opened by Pillow.

    Returns:
      uint8, (height, width) or (height, width, 3); uint16 for 16-bit grey.

    Raises:
      ValueError: if the pixel type is not supported. The message is only the reason;
        `open_picture` puts it into its own.
    """
    mode = image.mode
    # Pillow before version 11 opens 16-bit grey PNG files as 32-bit integers.
    if mode == "I" and image.format == "PNG":
        mode = "I;16"
    if mode in _GREY_16_BIT:
        levels = np.asarray(ImageOps.exif_transpose(image))
        return levels.astype(np.uint16)  # from another byte order, or from 32 bits
    if mode not in _READERS:
        raise ValueError(f"pixels of the unsupported type {mode!r}")
    return _READERS[mode](ImageOps.exif_transpose(image))


def to_luminance(picture: np.ndarray) -> np.ndarray:
    """Returns the 8-bit luminance of a picture: the Y of BT.601, rounded half up.

    Args:
      picture: uint8, (height, width) or (height, width, 3).

    Returns:
      uint8, (height, width); a grey picture is returned unchanged.

    Raises:
      ValueError: if the array has another shape or type.

    Examples:
      >>> primaries = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)]], np.uint8)
      >>> to_luminance(primaries)
      array([[ 76, 150,  29]], dtype=uint8)
    """
    _check_picture(picture)
    if picture.ndim == 2:
        return picture
    # In integers, because the thousandths of BT.601 are exact there and every platform
    # rounds alike.
    red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)


def write_picture(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes a picture; the file appears complete or not at all.

    Args:
      path: the file; its ending determines the format, of which only JPEG is lossy.
      picture: uint8, (height, width) or (height, width, 3).

    Raises:
      FileNotFoundError: if the folder does not exist.
      ValueError: if the ending or the array is not supported.
    """
    _check_picture(picture)
    save_image(path, Image.fromarray(picture))


def save_image(
    path: str | os.PathLike[str], image: Image.Image, **metadata: Any
) -> None:
    """Writes an image of Pillow's as `write_picture` writes an array.

    Args:
      path: the file; its ending determines the format.
      image: an image of a mode that the format supports.
      **metadata: `icc_profile` and `exif`, if the format can store them, or other
        options of Pillow's, which override ours.

    Raises:
      FileNotFoundError, ValueError: as `write_picture` does.
    """
    path = Path(path)
    check_writable(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"expected a folder to write {path.name} to, got no folder at "
            f"{path.parent}; create it."
        )
    picture_format, options = WRITERS[path.suffix.lower()]
    encoded = io.BytesIO()
    image.save(encoded, format=picture_format, **{**options, **metadata})
    replace_file(path, encoded.getvalue())


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises unless `write_picture` supports the ending of a file name.

    Args:
      path: the file to write.

    Raises:
      ValueError: if it does not, listing the supported endings.

    Examples:
      >>> check_writable("fused.PNG")
    """
    ending = Path(path).suffix
    if ending.lower() not in WRITERS:
        raise ValueError(
            f"expected a picture name ending in one of {', '.join(WRITERS)}, got "
            f"{ending!r} in {path}; choose one of these."
        )


def _check_picture(picture: np.ndarray) -> None:
    is_picture = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] == 3)
    if picture.dtype != np.uint8 or not is_picture or picture.size == 0:
        raise ValueError(
            "expected a uint8 picture of shape (height, width) or (height, width, 3), "
            f"got {picture.dtype} of shape {picture.shape}; convert it first."
        )
