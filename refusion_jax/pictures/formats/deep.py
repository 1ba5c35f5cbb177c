"""16 bits a channel by Pillow's own decoders, which keep the high byte only.

A decoder of Pillow's takes the layout of the samples as a name. Read as samples of the
other byte order, the low bytes are the high ones: two passes give all 16 bits, of PNG
and of TIFF, whatever the compression, and no other library is needed.
"""

import io
import sys

import numpy as np
from PIL import Image, ImageFile, ImageOps

_LITTLE = sys.byteorder == "little"
_SWAPPED = {";16L": ";16B", ";16B": ";16L", ";16N": ";16B" if _LITTLE else ";16L"}
_LAYOUTS = {  # of the decoder: mode in which Pillow keeps it, its channels
    "RGB;16": ("RGB", 3),
    "RGBA;16": ("RGBA", 4),
    "RGBa;16": ("RGBA", 4),  # colour times alpha, see `straight`
    "RGBX;16": ("RGBX", 3),
}


def layout_of(image: Image.Image) -> str:
    """Returns the layout of the samples that Pillow would decode, such as "RGB;16B".

    Args:
      image: opened by Pillow, not yet loaded.
    """
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments if isinstance(arguments, str) else (arguments or ("",))[0])


def is_deep(image: Image.Image) -> bool:
    """Returns whether Pillow would drop half of an image's 16 bits.

    Args:
      image: opened by Pillow, not yet loaded.
    """
    layout = layout_of(image)
    return layout[:-1] in _LAYOUTS or layout == "LA;16B"


def deep_samples(content: bytes, page: int = 0) -> np.ndarray:
    """Returns all 16 bits of an image for which `is_deep` is true, upright.

    Args:
      content: of the file, PNG or TIFF.
      page: of a TIFF.

    Returns:
      uint16, (height, width, channels) of 2 (grey, alpha), 3 or 4 (colour, alpha)
      channels; colour is multiplied by alpha where the file has it so.

    Raises:
      Whatever Pillow's decoders raise on broken files.
    """
    layout = layout_of(_opened(content, page))
    if layout == "LA;16B":  # four bytes a pixel, as RGBA of 8 bits
        octets = _decoded(content, page, "RGBA", "RGBA").astype(np.uint16)
        return octets[..., ::2] << 8 | octets[..., 1::2]
    mode, channels = _LAYOUTS[layout[:-1]]
    layout = layout.replace("a", "A")
    high = _decoded(content, page, mode, layout)
    low = _decoded(content, page, mode, layout[:-4] + _SWAPPED[layout[-4:]])
    return (high.astype(np.uint16) << 8 | low)[..., :channels]


def straight(samples: np.ndarray) -> np.ndarray:
    """Divides colour by the alpha that it is multiplied by.

    Args:
      samples: (height, width, channels), the last of which is alpha; uint8 or uint16.

    Returns:
      The samples, in the same type; colour is 0 where alpha is.
    """
    maximum = np.iinfo(samples.dtype).max
    alpha = samples[..., -1:].astype(np.float64)
    colour = samples[..., :-1] * (maximum / np.maximum(alpha, 1))
    colour = np.rint(np.minimum(colour, maximum)).astype(samples.dtype)
    return np.concatenate([colour, samples[..., -1:]], axis=-1)


def _opened(content: bytes, page: int) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=("PNG", "TIFF"))
    if page:
        image.seek(page)
    return image


def _decoded(content: bytes, page: int, mode: str, layout: str) -> np.ndarray:
    with _opened(content, page) as image:
        assert isinstance(image, ImageFile.ImageFile)
        image._mode = mode  # as Pillow's own plugins set it
        tiles = []
        for tile in image.tile:
            others = () if isinstance(tile.args, str) else (tile.args or ())[1:]
            tiles.append(tile._replace(args=(layout, *others) if others else layout))
        image.tile = tiles
        image.load()
        return np.asarray(ImageOps.exif_transpose(image))
