"""Radiometric JPEGs: temperatures behind the picture that a viewer shows.

FLIR's cameras keep raw levels in APP1 segments, from which flyr (the extra `thermal`)
computes degrees Celsius. DJI's are in APP3 segments, by a calibration that the maker
keeps to itself; the one open reader (dji-thermal-cli) has a licence (AGPL) that this
package cannot take on. Such a picture is known by its maker's name in the EXIF or XMP.
"""

import io
from importlib.util import find_spec

import numpy as np

from refusion_jax.pictures.notes import note

_APP1, _APP3, _START_OF_SCAN = 0xE1, 0xE3, 0xDA
_MOST_SEGMENTS = 10_000
_LITTLE = 1000  # bytes, too few for levels


def temperatures(content: bytes, name: str) -> np.ndarray | None:
    """Returns the temperatures of a radiometric JPEG, if they can be read.

    Args:
      content: of a JPEG file.
      name: of the picture, for the note where only its preview can be read.

    Returns:
      Degrees Celsius, float64 (height, width), as the sensor has its rows; None for
      other JPEGs, and for those of which the preview is to be read instead.
    """
    maker = _maker(content)
    if maker is None:
        return None
    if maker == "FLIR" and find_spec("flyr"):
        import flyr

        try:
            celsius = np.asarray(flyr.unpack(io.BytesIO(content)).celsius, np.float64)
            if celsius.ndim == 2 and celsius.size and np.isfinite(celsius).all():
                return celsius
            reason = "its raw picture cannot be read"
        # flyr raises almost anything on segments that it does not know.
        except Exception as error:
            reason = f"its raw picture cannot be read ({type(error).__name__})"
    elif maker == "FLIR":
        reason = "pip install 'refusion-jax[thermal]' reads its temperatures"
    else:
        reason = "export them as 16-bit or float TIFF with the maker's program"
    note(
        f"{name} is a radiometric JPEG of {maker}, of which the 8-bit preview is read, "
        f"not the temperatures; {reason}."
    )
    return None


def _maker(content: bytes) -> str | None:
    """Returns the maker of a radiometric JPEG, by its segments."""
    place, is_dji = 2, False
    for _ in range(_MOST_SEGMENTS):
        if content[place : place + 1] != b"\xff" or place + 4 > len(content):
            return None
        kind = content[place + 1]
        length = int.from_bytes(content[place + 2 : place + 4])
        segment = content[place + 4 : place + 2 + length]
        if kind == _START_OF_SCAN:
            return None
        if kind == _APP1 and segment.startswith(b"FLIR\0"):
            return "FLIR"
        if kind == _APP1:
            is_dji |= b"DJI" in segment or b"drone-dji" in segment
        # Others' APP3 holds previews; levels fill many segments.
        if kind == _APP3 and is_dji and length > _LITTLE:
            return "DJI"
        place += 2 + length
    return None
