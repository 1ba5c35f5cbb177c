"""Netpbm pictures of more than 8 bits, which Pillow refuses or halves."""

import re

import numpy as np

from refusion_jax.pictures.levels import MAX_LEVEL

_CHANNELS = {b"P2": 1, b"P3": 3, b"P5": 1, b"P6": 3}
_BLANK = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEADER = re.compile(
    rb"(P[2356])" + (_BLANK + rb"(\d{1,9})") * 3 + rb"(?:#[^\n\r]*[\n\r])?\s"
)


def deep_netpbm(content: bytes) -> np.ndarray | None:
    """Returns the pixels of a Netpbm picture of more than 8 bits.

    Args:
      content: of any picture file.

    Returns:
      uint16, (height, width) or (height, width, 3), scaled so that the picture's own
      white is 65535; None for other files and 8 bits.

    Raises:
      ValueError: if the file is truncated. The message is only the reason.
    """
    header = _HEADER.match(content[:4096])
    if header is None:
        return None
    kind, (width, height, white) = header[1], map(int, header.groups()[1:])
    if not 255 < white <= MAX_LEVEL or not width or not height:
        return None
    channels = _CHANNELS[kind]
    count = height * width * channels
    if kind in (b"P5", b"P6"):
        octets = content[header.end() : header.end() + 2 * count]
        samples = np.frombuffer(octets[: len(octets) // 2 * 2], ">u2")
    else:
        words = re.sub(rb"#[^\n\r]*", b" ", content[header.end() :]).split()[:count]
        samples = np.array([min(int(word), MAX_LEVEL) for word in words], np.uint16)
    if samples.size < count:
        raise ValueError("its pixels are truncated")
    scaled = np.rint(np.minimum(samples, white) * (MAX_LEVEL / white))
    shape = (height, width) if channels == 1 else (height, width, 3)
    return scaled.astype(np.uint16).reshape(shape)
