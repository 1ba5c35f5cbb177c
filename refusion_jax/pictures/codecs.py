"""Picture files to uint8 arrays and back, by Pillow."""

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

# The decoders that may run. The list matters: Pillow recognises a file by its content
# and would start an external interpreter for PostScript named `.png`.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
# Endings that `write_picture` understands: Pillow's format and its options.
WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".webp": ("WEBP", {"lossless": True}),
}
# Endings by which a file counts as a picture (in lower case).
PICTURE_ENDINGS = frozenset({*WRITERS, ".gif", ".pgm", ".ppm", ".pbm", ".jp2"})

Content = TypeVar("Content")


def _from_palette(image: Image.Image) -> np.ndarray:
    # By way of RGBA: Pillow warns about palettes with transparency otherwise.
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

    Grey stays (height, width); palettes, CMYK and all colour become (height, width, 3),
    even where the three channels are equal. Transparency is dropped, the EXIF
    orientation is applied, and of several frames the first is read. 16-bit grey goes
    through a range rule; of 16-bit colour, and of 16-bit grey with transparency, which
    Pillow makes colour, the high byte is read.

    Args:
      path: a picture file; its content, not its ending, tells the format.
      levels: range rule of 16-bit grey, see `pictures.levels`; "full" divides by 257
        and rounds.

    Returns:
      uint8, (height, width) or (height, width, 3), 0..255.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is a folder, empty, no picture, truncated, of an unsupported
        pixel type, or above Pillow's limit on the number of pixels; or if there is no
        such rule.
    """
    check_rule(levels)
    return open_picture(path, partial(_decode, levels=levels))


def open_picture(
    path: str | os.PathLike[str], read: Callable[[Image.Image], Content]
) -> Content:
    """Opens a picture file within our limits: known formats, Pillow's bound on pixels.

    Args:
      path: a picture file.
      read: takes what is wanted from the opened image.

    Returns:
      What `read` returns.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does, also where `read` fails.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"expected a picture file, got the folder {path}; name a file."
        )
    if not path.exists():
        raise FileNotFoundError(f"expected a picture file, got no file at {path}.")
    if path.stat().st_size == 0:
        raise ValueError(f"expected a picture, got the empty file {path}; replace it.")
    return _read(path, str(path), read)


def decode_picture(encoded: bytes, name: str, *, levels: str = "full") -> np.ndarray:
    """`read_picture` from a file's bytes.

    Args:
      encoded: the whole content of a picture file.
      name: what error messages call it.
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
    Image.init()  # Pillow knows only five of the formats before
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
    # Pillow's decoders raise almost anything on broken files.
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
    """The pixels of an opened image, upright, as deep as Pillow reads them.

    Args:
      image: as Pillow has opened it.

    Returns:
      uint8, (height, width) or (height, width, 3); of 16-bit grey uint16.

    Raises:
      ValueError: if the pixel type is not supported.
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
    """The 8-bit luminance of a picture: the Y of BT.601, rounded half up.

    Args:
      picture: uint8, (height, width) or (height, width, 3).

    Returns:
      uint8, (height, width); of a grey picture exactly its values.

    Raises:
      ValueError: if the array is of another shape or type.
    """
    _check_picture(picture)
    if picture.ndim == 2:
        return picture
    # Integers: the thousandths of BT.601 are exact, so every platform rounds alike.
    red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)


def write_picture(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes a picture; the file appears complete or not at all.

    Args:
      path: its ending chooses the format; only JPEG loses information.
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
    """`write_picture` for Pillow's images.

    Args:
      path: its ending chooses the format.
      image: of a mode that the format knows.
      **metadata: `icc_profile` and `exif`, where the format has a place for them, or
        other options of Pillow's, which replace ours.

    Raises:
      FileNotFoundError, ValueError: as `write_picture` does.
    """
    path = Path(path)
    check_writable(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"expected a folder to write {path.name} to, got no folder at "
            f"{path.parent}; create it first."
        )
    picture_format, options = WRITERS[path.suffix.lower()]
    encoded = io.BytesIO()
    image.save(encoded, format=picture_format, **{**options, **metadata})
    replace_file(path, encoded.getvalue())


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuses file names whose ending `write_picture` does not know.

    Args:
      path: where a picture is to be written.

    Raises:
      ValueError: listing the supported endings.
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
