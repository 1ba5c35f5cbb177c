"""The table of formats in docs/formats.md is what the readers do: it is made here.

To write it anew: REFUSION_WRITE_TABLE=1 python -m pytest tests/pictures/table_test.py
"""

import io
import os
import re
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from refusion_jax.fusing import video
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.pictures import codecs, volumes
from refusion_jax.pictures.formats import thermal, tiff
from refusion_jax.pictures.formats.png import encode_png
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import read_photograph

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")
pillow_heif = pytest.importorskip("pillow_heif")
sitk = pytest.importorskip("SimpleITK")
av = pytest.importorskip("av")

PAGE = Path(__file__).parents[2] / "docs/formats.md"
BEGIN, END = "<!-- formats: made by tests/pictures/table_test.py -->", "<!-- end -->"
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (16, 24), np.uint8)
RGB = RNG.integers(0, 256, (16, 24, 3), np.uint8)
ALPHA = RNG.integers(0, 255, (16, 24), np.uint8)
DEEP, DEEP_RGB = GREY.astype(np.uint16) * 250, RGB.astype(np.uint16) * 250


def by_pillow(array, mode=None, **options):
    def make(path):
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path, **options)

    return make


def with_alpha(path):
    image = Image.fromarray(RGB)
    image.putalpha(Image.fromarray(ALPHA))
    image.save(path)


def by_tifffile(array, **options):
    return lambda path: tifffile.imwrite(path, array, metadata=None, **options)


def content(data):
    return lambda path: path.write_bytes(data)


def frames(path):
    images = [Image.fromarray(x) for x in (RGB, RGB // 2)]
    images[0].save(path, save_all=True, append_images=images[1:])


def heic(path):
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(path)


def camera_raw(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(RGB, photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(DEEP, photometric=32803, metadata=None)


def radiometric(*segments):
    def make(path):
        encoded = io.BytesIO()
        Image.fromarray(RGB).save(encoded, format="JPEG")
        own = b"".join(
            bytes([0xFF, kind]) + (len(data) + 2).to_bytes(2) + data
            for kind, data in segments
        )
        path.write_bytes(encoded.getvalue()[:2] + own + encoded.getvalue()[2:])

    return make


def volume(path):
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([DEEP] * 3)), str(path))


def dicom(path):
    path.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(DEEP), str(path / "1.dcm"))


def film(codec, kind):
    def make(path):
        with av.open(str(path), "w") as target:
            stream = target.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 24, 16, kind
            pixels = DEEP if kind == "gray16le" else RGB
            given = kind if kind == "gray16le" else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=given)
            target.mux(stream.encode(frame))
            target.mux(stream.encode(None))

    return make


FLIR = (0xE1, b"FLIR\0\x01\0\0FFF\0".ljust(2000, b"\0"))
DJI = ((0xE1, b"Exif\0DJI"), (0xE3, bytes(2000)))
PLANES = {"photometric": "rgb", "planarconfig": "separate"}
SAMPLES = (
    ("PNG of 8 bits, with transparency", "a.png", with_alpha),
    ("PNG of 16 bits, grey", "a.png", by_pillow(DEEP)),
    ("PNG of 16 bits, colour", "a.png", content(encode_png(DEEP_RGB))),
    (
        "PNG of 16 bits, grey and transparency",
        "a.png",
        content(encode_png(np.dstack([DEEP, DEEP]))),
    ),
    ("PNG or GIF with frames", "a.png", frames),
    ("JPEG", "a.jpg", by_pillow(RGB)),
    ("JPEG in CMYK", "a.jpg", by_pillow(RGB, "CMYK")),
    ("WebP, BMP, JPEG 2000 (8 bits)", "a.webp", by_pillow(RGB)),
    ("AVIF, if Pillow has it", "a.avif", by_pillow(RGB)),
    ("HEIC (extra `heic`)", "a.heic", heic),
    (
        "PGM, PPM of 16 bits",
        "a.ppm",
        content(b"P6 24 16 65535\n" + DEEP_RGB.astype(">u2").tobytes()),
    ),
    ("TIFF of 8 bits, palette, LZW, ...", "a.tif", by_pillow(RGB)),
    ("TIFF of 16 bits, grey, white is zero", "a.tif", by_tifffile(DEEP, photometric=0)),
    ("TIFF of 16 bits, colour", "a.tif", by_tifffile(DEEP_RGB, photometric="rgb")),
    (
        "TIFF of 16 bits, colour in planes",
        "a.tif",
        by_tifffile(np.moveaxis(DEEP_RGB, -1, 0), **PLANES),
    ),
    (
        "TIFF of 16 bits, grey and transparency",
        "a.tif",
        by_tifffile(np.dstack([DEEP, DEEP]), photometric=1, extrasamples=[2]),
    ),
    (
        "TIFF of 10 to 14 bits",
        "a.tif",
        by_tifffile(DEEP // 16, photometric=1, bitspersample=14),
    ),
    ("TIFF of 32-bit floats", "a.tif", by_tifffile(DEEP.astype(np.float32))),
    ("TIFF of 64-bit floats", "a.tif", by_tifffile(DEEP.astype(np.float64))),
    ("TIFF of signed 16 bits", "a.tif", by_tifffile(DEEP.astype(np.int16))),
    (
        "TIFF of several pages",
        "a.tif",
        by_tifffile(np.stack([DEEP] * 2), photometric=1),
    ),
    ("TIFF with other channels", "a.tif", by_tifffile(np.dstack([RGB, GREY]),
     photometric=2, extrasamples=[0])),
    ("JPEG XL, PSD, SVG, ...", "a.jxl", content(b"\xff\x0a" + bytes(40))),
    ("camera raw (DNG, NEF, CR2, ...)", "a.dng", camera_raw),
    ("radiometric JPEG of FLIR (extra `thermal`)", "a.jpg", radiometric(FLIR)),
    ("radiometric JPEG of DJI", "a.jpg", radiometric(*DJI)),
    ("NIfTI, NRRD, MetaImage (extra `medical`)", "a.nii.gz", volume),
    ("folder of a DICOM series (extra `medical`)", "series", dicom),
    ("video of 8 bits (extra `video`)", "a.mp4", film("libx264", "yuv420p")),
    ("video of 16 bits, grey (extra `video`)", "a.mkv", film("ffv1", "gray16le")),
)  # fmt: skip


def first_frame(path, model):
    """A video's first frame as it reaches the fusion."""
    seen = []

    class Watching(Fuser):
        def fuse_photograph(self, *photographs):
            seen.extend(photographs)
            return super().fuse_photograph(*photographs)

    fuser = Watching(model, output_range="none")
    video.fuse_videos(fuser, [path, path], path.with_name("made.mkv"))
    return seen[0]


def as_read(path, model):
    """What comes of a file, in a few words."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", PictureWarning)
        try:
            if volumes.is_volume(path):
                size = volumes.read_volume(path).image.GetSize()
                return f"values, by `--window`, {len(size)} dimensions"
            is_video = video.is_video(path)
            read = first_frame(path, model) if is_video else read_photograph(path)
        except (ValueError, ImportError):
            return "refused"
    pixels, alpha, *_ = read
    depth = {"uint8": "8 bits", "uint16": "16 bits", "float64": "values, by `--levels`"}
    words = [depth[pixels.dtype.name], "grey" if pixels.ndim == 2 else "colour"]
    words += ["transparency"] if alpha is not None else []
    words += ["and says what is left out"] if said else []
    return ", ".join(words)


def table(folder, monkeypatch, model):
    def missing(*_, **__):
        raise ImportError("expected it; install it.")

    def unpack(stream):  # a real file holds the camera's calibration
        return types.SimpleNamespace(celsius=np.linspace(-20, 45, 48).reshape(6, 8))

    monkeypatch.setitem(sys.modules, "flyr", types.SimpleNamespace(unpack=unpack))

    lines = ["| file | plain install | with all extras |", "| --- | --- | --- |"]
    for title, name, make in SAMPLES:
        path = folder / name
        make(path)
        with monkeypatch.context() as patch:
            patch.setattr(thermal, "find_spec", lambda name: True)
            whole = as_read(path, model)
        with monkeypatch.context() as patch:
            for module in (tiff, codecs, volumes, video):
                patch.setattr(module, "require", missing)
            patch.setattr(thermal, "find_spec", lambda name: None)
            plain = as_read(path, model)
        lines.append(f"| {title} | {plain} | {'same' if whole == plain else whole} |")
    return "\n".join(lines)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow lacks AVIF")
def test_the_table_of_formats_is_what_the_readers_do(tmp_path, monkeypatch, hand_model):
    made = f"{BEGIN}\n\n{table(tmp_path, monkeypatch, hand_model())}\n\n{END}"
    text = PAGE.read_text()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if os.environ.get("REFUSION_WRITE_TABLE"):
        PAGE.write_text(re.sub(pattern, lambda _: made, text, flags=re.DOTALL))
    (written,) = re.findall(pattern, PAGE.read_text(), re.DOTALL)
    assert written == made
