"""Names that users choose from or that files have, in a file without slow imports."""

from typing import Any, Literal, get_args

# See `pictures.ranges`, `pictures.alignment` and `pictures.registration`.
Range = Literal["stretch", "none", "source"]
Alignment = Literal["none", "crop", "resize", "resize-largest", "register"]
Movement = Literal["auto", "translation", "rigid", "similarity", "affine"]
Border = Literal["crop", "fill"]
RANGES: tuple[Range, ...] = get_args(Range)
ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)
MOTIONS: tuple[Movement, ...] = get_args(Movement)
BORDERS: tuple[Border, ...] = get_args(Border)
# The named rules of `pictures.levels`, beside which there are bounds, LOW:HIGH.
LEVELS = ("full", "min-max", "percentile", "auto")
# Where an export computes colour, see `export.function`; the first is the default.
COLOURS = ("outside", "inside")
# See `pictures.palettes` and `pictures.volumes`.
PALETTES = ("grey", "hot", "spectrum")
AXES = ("axial", "coronal", "sagittal")

# Endings, in lower case, of the pictures that are read. AVIF and HEIC take a Pillow
# with AVIF, and the extra `heic`.
PICTURE_ENDINGS = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff"),
        *(".bmp", ".dib", ".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".pfm"),
        *(".jp2", ".j2k", ".jpx", ".jpc", ".j2c", ".jpf", ".avif", ".heic", ".heif"),
    }
)
# Endings of pictures that are not read: in a folder they are reported, not passed over.
UNREADABLE_ENDINGS = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc"),
        *(".mef", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2"),
        *(".rwl", ".sr2", ".srf", ".srw", ".x3f", ".jxl", ".jxr", ".psd", ".psb"),
        *(".xcf", ".exr", ".hdr", ".tga", ".sgi", ".pcx", ".svg", ".eps", ".qoi"),
        *(".dcm", ".ima", ".fits", ".fit", ".seq", ".fff", ".npy", ".hif"),
    }
)


def is_address(source: Any) -> bool:
    """Returns whether a path is an address of the web.

    Args:
      source: a path as it was given; `Path` makes one slash of two.

    Examples:
      >>> is_address("https://example.org/a.png"), is_address("https.png")
      (True, False)
    """
    return str(source).lower().startswith(("http:/", "https:/"))
