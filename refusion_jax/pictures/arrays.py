"""Sources that are not files: arrays of any library, images of Pillow's."""

import os
from typing import Any

import jax
import numpy as np
from PIL import Image

from refusion_jax.pictures.codecs import Readable
from refusion_jax.pictures.names import is_address
from refusion_jax.pictures.photographs import Photograph, read_photograph
from refusion_jax.pictures.rasters import Opened, as_deep_as_it_is, raster_of

# Beside these, anything with `__array__` or `__array_interface__`.
Source = (
    str | os.PathLike[str] | np.ndarray | jax.Array | Image.Image | bytes | Readable
)

# Of [0, 1], which resizing and float32 leave by a hair.
_SLACK = 1e-6


def as_photograph(source: Any) -> Photograph:
    """Checks a source of `fuse` and returns it as a photograph.

    Args:
      source: a file, its bytes or a file object open for reading; an array, or what
        NumPy can read as one; or an image of Pillow's. The last of two or four channels
        of an array is its transparency.

    Returns:
      The pixels, with the metadata if the source is a file, and with the transparency.

    Raises:
      FileNotFoundError: if the file is missing.
      ValueError: if the source is not a picture, or its values are out of range.

    Examples:
      >>> as_photograph(np.zeros((4, 8, 1))).pixels.shape
      (4, 8)
    """
    if isinstance(source, Photograph):
        return source
    if isinstance(source, str | os.PathLike | bytes) or hasattr(source, "read"):
        if not isinstance(source, bytes) and is_address(source):
            raise FileNotFoundError(
                f"expected a picture file, got the address {source}; download it first."
            )
        return read_photograph(source)
    if isinstance(source, Image.Image):
        try:
            # A copy forgets its file, whose tags Pillow has heeded while loading it.
            return Photograph(*raster_of(Opened(source.copy(), b"", "the image", 0)))
        except ValueError as error:
            raise ValueError(
                f"expected an image of grey or colour, got {error}; convert it first."
            ) from None
    array = _array_of(source)
    if array.ndim == 3 and array.shape[-1] in (2, 4) and array.size:
        alpha = _pixels_of(array[..., -1])
        if alpha.dtype == np.float32:
            alpha = np.rint(alpha * 255).astype(np.uint8)
        is_opaque = (alpha == np.iinfo(alpha.dtype).max).all()
        return Photograph(_pixels_of(array[..., :-1]), None if is_opaque else alpha)
    return Photograph(_pixels_of(array))


def _array_of(source: Any) -> np.ndarray:
    if np.ma.isMaskedArray(source) and np.ma.is_masked(source):
        raise ValueError(
            f"expected an array without a mask, got {np.ma.count_masked(source)} "
            "masked pixels; fill them first, for example with array.filled(0)."
        )
    if not any(hasattr(source, x) for x in ("__array__", "__array_interface__")):
        raise ValueError(
            f"expected a path, an array or an image, got {type(source).__name__}; "
            "convert it with numpy.asarray first."
        )
    try:
        return np.asarray(source)
    # What other libraries raise for arrays on a device is their own.
    except Exception as error:
        raise ValueError(
            f"expected an array that NumPy can read, got {type(source).__name__} "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            "move it to the CPU and convert it with numpy.asarray first."
        ) from error


def _pixels_of(array: np.ndarray) -> np.ndarray:
    """Returns an array as pixels of a photograph: checked, in this machine's order."""
    _check_shape(array)
    if array.shape[2:] == (1,):
        array = array[..., 0]
    kind = array.dtype
    if kind.newbyteorder("=") in (np.uint8, np.uint16):
        return as_deep_as_it_is(array.astype(kind.newbyteorder("="), copy=False))
    if not np.issubdtype(kind, np.floating):
        cure = {
            "b": "convert it with array.astype(float)",
            "i": "convert it with array.astype(numpy.uint8) if it holds 0 to 255",
            "u": "convert it with array.astype(numpy.uint16) if it holds 0 to 65535",
        }.get(kind.kind, "convert it first")
        raise ValueError(
            f"expected uint8, uint16 or floats in [0, 1], got {kind} of shape "
            f"{array.shape}; {cure}."
        )
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            f"expected floats in [0, 1], got {(~np.isfinite(array)).sum()} values that "
            "are NaN or infinite; fill them first, for example with numpy.nan_to_num."
        )
    if low < -_SLACK or high > 1 + _SLACK:
        is_8_bit = low >= 0 and 1 < high <= 255
        cure = "divide it by 255" if is_8_bit else "rescale it to [0, 1]"
        raise ValueError(f"expected floats in [0, 1], got {low} to {high}; {cure}.")
    return np.clip(array, 0, 1).astype(np.float32)


def _check_shape(array: np.ndarray) -> None:
    shape = array.shape
    is_shaped = array.ndim == 2 or (array.ndim == 3 and shape[-1] in (1, 3))
    if is_shaped and array.size:
        return
    cure = "pass one picture of at least one pixel"
    if array.ndim == 3 and shape[0] in (1, 3):
        cure = (
            "move the channels last with numpy.moveaxis(array, 0, -1)"
            if shape[0] == 3
            else "it begins with a batch or a channel of one: pass array[0]"
        )
    elif array.ndim == 4:
        cure = "Fuser.fuse_batch takes batches"
    elif array.ndim == 3:
        cure = "Fuser.fuse_batch takes batches of grey pictures"
    raise ValueError(
        "expected an array of shape (height, width) or (height, width, 1 to 4), got "
        f"{shape}; {cure}."
    )
