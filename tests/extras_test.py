"""What the plain install consists of, and what is said where an extra is missing."""

import ast
import configparser
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import refusion_jax
from refusion_jax.extras import require
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.video import fuse_videos
from refusion_jax.pictures.notes import PictureWarning
from refusion_jax.pictures.photographs import Photograph, read_photograph
from refusion_jax.pictures.photographs import write_photograph as write
from refusion_jax.pictures.registration import find_motion
from refusion_jax.pictures.volumes import read_volume

PACKAGE = Path(refusion_jax.__file__).parent
SETUP = Path(__file__).parents[1] / "setup.cfg"
PLAIN = {
    *("jax", "flax", "optax", "orbax-checkpoint", "numpy", "pillow", "platformdirs"),
    *("pyyaml", "absl-py", "jaxtyping", "safetensors", "tqdm"),
}
# Where a package is not called as it is imported.
DISTRIBUTIONS = {
    "SimpleITK": "SimpleITK",
    "av": "av",
    "cv2": "opencv-python-headless",
    "multipart": "python-multipart",
    "python_multipart": "python-multipart",
    "skimage": "scikit-image",
}


def names_of(requirements):
    lines = [line.strip() for line in requirements.splitlines() if line.strip()]
    return {re.split(r"[\[<>=!~ ;]", line)[0] for line in lines}


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(SETUP)
    return parser


def test_the_plain_install_has_grown_by_nothing(setup):
    assert names_of(setup["options"]["install_requires"]) == PLAIN


def required():
    """All calls of `require` with a package that stands there: module and extra."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id != "require" or not isinstance(node.args[0], ast.Constant):
                continue
            (extra,) = (x.value.value for x in node.keywords if x.arg == "extra")
            yield node.args[0].value.partition(".")[0], extra


def test_every_extra_that_an_error_names_installs_the_package(setup):
    calls = set(required())
    assert len(calls) >= 12
    for module, extra in calls:
        distribution = DISTRIBUTIONS.get(module, module.replace("_", "-"))
        assert distribution in names_of(setup["options.extras_require"][extra])


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wanted", None)
    with pytest.raises(ImportError) as error:
        require("wanted.part", extra="wants", why="to be whole")
    assert re.fullmatch(
        r"expected the package wanted to be whole, got an environment without it "
        r"\(.*\); install it with pip install 'refusion-jax\[wants\]'\.",
        str(error.value),
    )


def flir():
    encoded = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(encoded, format="JPEG")
    content = encoded.getvalue()
    segment = b"FLIR\0\x01\0\0FFF\0".ljust(98, b"\0")
    return content[:2] + b"\xff\xe1" + (100).to_bytes(2) + segment + content[2:]


def double():
    """A TIFF of 64-bit floats, which Pillow does not know."""
    tags = {256: 1, 257: 1, 258: 64, 259: 1, 262: 1, 273: 134, 278: 1, 279: 8, 339: 3}
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
        for tag, value in tags.items()
    )
    head = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little")
    return (head + entries + bytes(4)).ljust(134, b"\0") + bytes(8)


SIDE = np.zeros((40, 40), np.float32)
HEIC = b"\0\0\0\x18ftypheic" + bytes(40)
COLOUR = Photograph(np.full((4, 4, 3), 999, np.uint16))
FUSER = object.__new__(Fuser)  # never reached
CASES = {
    "heic": ("pillow_heif", lambda path: read_photograph(HEIC)),
    "tiff": ("tifffile", lambda path: read_photograph(double())),
    "register": ("SimpleITK", lambda path: find_motion(SIDE, SIDE)),
    "medical": ("SimpleITK", lambda path: read_volume(path / "x.nii")),
    "video": ("av", lambda path: fuse_videos(FUSER, [path, path], path / "x.mp4")),
}


@pytest.mark.parametrize("extra", CASES)
def test_a_file_of_an_extra_is_refused_with_its_name(tmp_path, monkeypatch, extra):
    (tmp_path / "x.nii").write_bytes(bytes(400))
    package, work = CASES[extra]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises((ImportError, ValueError), match=rf"refusion-jax\[{extra}\]"):
        work(tmp_path)


def test_what_can_be_read_or_written_in_part_names_the_extra(tmp_path, monkeypatch):
    for package in ("flyr", "tifffile"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.warns(PictureWarning, match=r"refusion-jax\[thermal\]"):
        assert read_photograph(flir()).pixels.shape == (8, 8)
    with pytest.warns(PictureWarning, match=r"8 of 16 bits .*refusion-jax\[tiff\]"):
        write(tmp_path / "x.tif", COLOUR)
