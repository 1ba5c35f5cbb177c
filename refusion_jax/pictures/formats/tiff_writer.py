"""Writes TIFFs of 16-bit colour, which Pillow cannot."""

import io

import numpy as np

from refusion_jax.extras import require


def encode_deep_tiff(
    samples: np.ndarray, icc_profile: bytes | None, origin: str | None
) -> bytes:
    """Returns the content of a compressed TIFF.

    Args:
      samples: uint16, (height, width, channels): grey or colour, with transparency as
        the last of two or four channels.
      icc_profile: of the colours, or None.
      origin: how the picture was made, ASCII; or None.

    Raises:
      ImportError: without tifffile.
    """
    tifffile = require("tifffile", extra="tiff", why="to write 16-bit colour as TIFF")
    encoded = io.BytesIO()
    channels = samples.shape[-1]
    tifffile.imwrite(
        encoded,
        samples,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        iccprofile=icc_profile,
        metadata=None,
        software=origin or "refusion-jax",
    )
    return encoded.getvalue()
