"""Reads picture files as arrays and writes them, by means of Pillow.

Files are read into memory first: of a TIFF that Pillow maps into memory it scrambles
the pixels where the orientation's tag turns them, and a pipe can be read only once.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from refusion_jax.extras import require
from refusion_jax.files.atomic import replace_file
from refusion_jax.pictures.formats.tiff import CAMERA_RAW, is_tiff
from refusion_jax.pictures.levels import check_rule, unit_of
from refusion_jax.pictures.rasters import Opened, raster_of

# The decoders that may run. The list is needed for safety: Pillow recognises a file by
# its content and would start an external interpreter for PostScript named `.png`.
FORMATS = (
    *("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000"),
    *(("AVIF",) if features.check("avif") else ()),
)
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
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What else a file may be, by its first bytes or bytes at a place.
_OTHERS = (
    (128, b"DICM", "a DICOM file; name its folder, which the extra medical reads"),
    (4, b"ftypcrx ", CAMERA_RAW),
    (0, b"IIRO", CAMERA_RAW),
    (0, b"IIU\0", CAMERA_RAW),
    (0, b"FUJIFILMCCD-RAW", CAMERA_RAW),
    (0, b"\x93NUMPY", "an array of NumPy; load it and pass it to refusion_jax.fuse"),
    (4, b"ftyp", "an HEIF or video file that cannot be decoded"),
    (0, b"\x1f\x8b", "a compressed file"),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"v/1\x01", "an OpenEXR file"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the picture itself"),
    (0, b"<", "HTML or XML text, not a picture"),
)

Content = TypeVar("Content")


@runtime_checkable
class Readable(Protocol):
    """A file object that is open for reading bytes."""

    def read(self) -> bytes:
        """Returns the rest of the file."""
        ...


def read_picture(path: str | os.PathLike[str], *, levels: str = "full") -> np.ndarray:
    """Reads a picture as 8-bit grey or RGB.

    Grey pictures become (height, width); palettes, CMYK and all other colour become
    (height, width, 3), even where the three channels are equal. Transparency is
    dropped, the EXIF orientation is applied, and only the first of several frames is
    read. More than 8 bits are rounded: of colour in full, of all else by a range rule.

    Args:
      path: a picture file; its content, not its ending, determines the format.
      levels: range rule for more than 8 bits, see `pictures.levels`; "full" divides 16
        bits by 257.

    Returns:
      uint8, (height, width) or (height, width, 3), 0..255.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the path is a folder; if the file is empty, not a picture,
        truncated, of an unsupported pixel type, or above Pillow's limit on the number
        of pixels; or if there is no such rule.

    Warns:
      PictureWarning: if something of the file is left out.
    """
    check_rule(levels)
    return _eight_bits(open_picture(path, raster_of).pixels, levels, str(path))


@contextmanager
def limit_of_pixels(limit: int | None) -> Iterator[None]:
    """Enforces Pillow's limit on pixels, up to twice which Pillow only warns.

    It is a setting of the whole process.

    Args:
      limit: of one picture; None leaves Pillow's as it is.
    """
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = before if limit is None else limit
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def open_picture(
    path: str | os.PathLike[str] | bytes | Readable,
    read: Callable[[Opened], Content],
    *,
    page: int | None = None,
) -> Content:
    """Opens a picture file of a known format within Pillow's limit on pixels.

    Args:
      path: a picture file, its content, or a file object that is open for reading.
      read: extracts the wanted content from the opened picture.
      page: of several pages or frames; None for the first.

    Returns:
      The value that `read` returns.

    Raises:
      FileNotFoundError, ValueError: as `read_picture` does, including if `read` fails.
    """
    if isinstance(path, bytes):
        return _read(path, "the bytes", read, page)
    if not isinstance(path, str | os.PathLike):
        name = getattr(path, "name", None)
        name = name if isinstance(name, str) else "the file object"
        return _read(_content_of(path), name, read, page)
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"expected a picture file, got the folder {path}; name a file."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"expected a picture file, got no file at {path}; check the path."
        )
    return _read(path.read_bytes(), str(path), read, page)


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
    check_rule(levels)
    return _eight_bits(_read(encoded, name, raster_of).pixels, levels, name)


def _content_of(file: Readable) -> bytes:
    content = file.read()
    if not isinstance(content, bytes):
        raise ValueError(
            f"expected a file object of bytes, got one of {type(content).__name__}; "
            "open it with open(path, 'rb')."
        )
    return content


def _read(
    content: bytes,
    name: str,
    read: Callable[[Opened], Content],
    page: int | None = None,
) -> Content:
    if not content:
        raise ValueError(f"expected a picture, got the empty file {name}; replace it.")
    Image.init()  # before this call Pillow knows only five of the formats
    try:
        image = _opened_by_pillow(content)
        if image is None:
            return read(Opened(None, content, name, page))
        with image:
            _check_pixels(image)
            return read(Opened(image, content, name, page))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"expected a picture of moderate size, got {name} ({error}); crop it, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS (`refusion fuse --max-pixels`) if you "
            "trust the file."
        ) from error
    except PermissionError:
        raise
    except ImportError as error:
        cure = str(error).rpartition("; ")[2].rstrip(".")
        raise ValueError(
            f"expected a picture that the plain install reads, got {name}; {cure}, or "
            "convert it to PNG or TIFF of 8 or 16 bits."
        ) from error
    # Pillow's decoders raise almost any kind of error on broken files.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = _other_kind(content) or "its content is in no supported format"
        raise ValueError(
            f"expected a readable picture, got {name} ({reason.rstrip('.')}); "
            "replace it or convert it to PNG or TIFF."
        ) from error


def _check_pixels(image: Image.Image) -> None:
    """Raises above Pillow's limit on pixels, up to twice which Pillow only warns."""
    limit, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
    if limit is not None and pixels > limit:
        raise Image.DecompressionBombError(
            f"Image size ({pixels} pixels) exceeds limit of {limit} pixels"
        )


def _opened_by_pillow(content: bytes) -> Image.Image | None:
    """Opens a picture; None for a TIFF of a kind that Pillow does not know."""
    formats = FORMATS
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        heif = require("pillow_heif", extra="heic", why="to read HEIC")
        heif.register_heif_opener()
        formats = (*FORMATS, "HEIF")
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        if is_tiff(content):
            return None
        raise


def _other_kind(content: bytes) -> str | None:
    kinds = (
        kind
        for place, mark, kind in _OTHERS
        if content[place : place + len(mark)] == mark
    )
    return next(kinds, None)


def _eight_bits(pixels: np.ndarray, levels: str, name: str) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(unit_of(pixels, levels, name) * 255).astype(np.uint8)


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
    picture_format, options = WRITERS[path.suffix.lower()]
    encoded = io.BytesIO()
    image.save(encoded, format=picture_format, **{**options, **metadata})
    save_content(path, encoded.getvalue())


def save_content(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes an encoded picture; the file appears complete or not at all.

    Args:
      path: the file.
      content: all of it.

    Raises:
      FileNotFoundError: if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"expected a folder to write {path.name} to, got no folder at "
            f"{path.parent}; create it."
        )
    replace_file(path, content)


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
