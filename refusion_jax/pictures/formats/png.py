"""Writes PNGs of 16 bits a channel, which Pillow writes in grey only."""

import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
_ROWS = 64  # filtered at a time, which bounds memory


def encode_png(
    samples: np.ndarray, icc_profile: bytes | None = None, exif: bytes | None = None
) -> bytes:
    """Returns the content of a PNG file of 16 bits a channel.

    Args:
      samples: uint16, (height, width, channels): grey, grey and alpha, RGB or RGBA.
      icc_profile, exif: stored beside the pixels; None leaves them out.

    Returns:
      All bytes of the file.
    """
    height, width, channels = samples.shape
    header = width.to_bytes(4) + height.to_bytes(4)
    header += bytes([16, _COLOUR_TYPES[channels], 0, 0, 0])
    compressor = zlib.compressobj(6)
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    parts, above = [], np.zeros(rows.shape[1], np.uint8)
    for start in range(0, height, _ROWS):
        block = rows[start : start + _ROWS]
        parts.append(compressor.compress(_filtered(block, above, 2 * channels)))
        above = block[-1]
    parts.append(compressor.flush())
    chunks = [_chunk(b"IHDR", header)]
    if icc_profile is not None:
        profile = b"ICC Profile\0\0" + zlib.compress(icc_profile)
        chunks.append(_chunk(b"iCCP", profile))
    if exif is not None:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [_chunk(b"IDAT", b"".join(parts)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return len(content).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)


def _filtered(rows: np.ndarray, above: np.ndarray, step: int) -> bytes:
    """Returns rows, each by the filter that leaves the smallest differences."""
    upper = np.concatenate([above[None], rows[:-1]])
    left, upper_left = (
        np.pad(x, ((0, 0), (step, 0)))[:, :-step] for x in (rows, upper)
    )
    a, b, c = (x.astype(np.int16) for x in (left, upper, upper_left))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where(to_b <= to_c, upper, upper_left)
    paeth = np.where((to_a <= to_b) & (to_a <= to_c), left, nearest)
    filters = {0: np.zeros_like(rows), 1: left, 2: upper, 4: paeth}
    made = np.stack([rows - guess for guess in filters.values()])
    costs = np.abs(made.view(np.int8).astype(np.int16)).sum(axis=-1, dtype=np.int64)
    best = costs.argmin(axis=0)
    chosen = np.take_along_axis(made, best[None, :, None], axis=0)[0]
    kinds = np.array(list(filters), np.uint8)[best]
    return np.concatenate([kinds[:, None], chosen], axis=1).tobytes()
