import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from refusion_jax.cli import main
from refusion_jax.fusing import inference
from refusion_jax.methods.refusion import forward
from refusion_jax.pictures.codecs import read_picture

RNG = np.random.default_rng(0)
COUNT = 50


def fuse(*arguments):
    return main(["fuse", *arguments, "--weights", "weights.safetensors"])


@pytest.fixture
def pairs(workplace):
    """50 pairs in a/ and b/, and what becomes of them."""
    for folder in ("a", "b"):
        (workplace / folder).mkdir()
    pictures = RNG.integers(0, 256, (COUNT, 2, 6, 8), np.uint8)
    for i, pair in enumerate(pictures):
        for folder, picture in zip("ab", pair, strict=True):
            Image.fromarray(picture).save(workplace / folder / f"{i}.png")
    return pictures


def test_of_50_pairs_3_are_spoiled_and_47_are_written(workplace, pairs, params, capsys):
    truncated = (workplace / "a" / "7.png").read_bytes()[:60]
    (workplace / "a" / "7.png").write_bytes(truncated)
    (workplace / "b" / "20.png").write_bytes(b"")
    Image.fromarray(pairs[33, 0, 1:]).save(workplace / "b" / "33.png")
    assert fuse("a", "b", "-o", "out", "--jobs=3") == 1
    good = [i for i in range(COUNT) if i not in (7, 20, 33)]
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"out/{i}.png 8x6" for i in good]
    lines = err.splitlines()
    assert [line.split(":")[1] for line in lines[:3]] == [" 7", " 20", " 33"]
    assert "a/7.png" in lines[0] and "the empty file b/20.png" in lines[1]
    assert "a/33.png of 8x6 and b/33.png of 8x5" in lines[2]
    assert lines[3].startswith("refusion: 47 of 50 written, 3 failed (7, 20, 33), ")
    assert len(lines) == 4
    for i in good:
        expected = inference.fuse(*pairs[i], weights=params)
        np.testing.assert_array_equal(read_picture(f"out/{i}.png"), expected)


def test_resuming_keeps_what_is_whole_and_makes_the_rest(workplace, pairs, capsys):
    assert fuse("a", "b", "-o", "out") == 0
    contents = {path.name: path.read_bytes() for path in (workplace / "out").iterdir()}
    (workplace / "out" / "3.png").unlink()
    (workplace / "out" / "4.png").write_bytes(contents["4.png"][:60])
    (workplace / "out" / "5.png").write_bytes(b"")
    (workplace / "a" / "6.png").write_bytes(b"not read, its result is there")
    before = {path: path.stat().st_mtime_ns for path in (workplace / "out").iterdir()}
    abandoned = workplace / "out" / f".{'0' * 32}.tmp"
    young = workplace / "out" / f".{'1' * 32}.tmp"
    for path in (abandoned, young):
        path.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    capsys.readouterr()
    assert fuse("a", "b", "-o", "out", "--resume") == 0
    out, err = capsys.readouterr()
    remade = {"3.png", "4.png", "5.png"}
    assert {x.split()[0] for x in out.splitlines() if not x.endswith(" kept")} == {
        f"out/{name}" for name in remade
    }
    assert err.startswith("refusion: 3 of 50 written, 47 kept, ")
    assert young.exists() and not abandoned.exists()
    young.unlink()
    assert contents == {
        path.name: path.read_bytes() for path in (workplace / "out").iterdir()
    }
    for path, changed in before.items():
        assert (path.stat().st_mtime_ns == changed) == (path.name not in remade)


def test_ctrl_c_says_how_far_it_came(workplace, pairs, capsys, monkeypatch):
    calls = iter(range(COUNT))

    def press_at_10(params, a, b, **_):
        if next(calls) == 10:
            raise KeyboardInterrupt
        return a

    monkeypatch.setattr(forward, "fuse_luminance", press_at_10)
    assert fuse("a", "b", "-o", "out") == 130
    out, err = capsys.readouterr()
    told = len(out.splitlines())
    assert err == f"refusion: interrupted after {told} of 50 pictures\n"
    assert 8 <= told <= 10
    assert all(read_picture(path).shape == (6, 8) for path in workplace.glob("out/*"))


# A command with a slow network that compiles at once.
SLOW_COMMAND = """
import sys, time
from refusion_jax import cli
from refusion_jax.methods.refusion import forward

def slow_mean(params, a, b, **_):
    time.sleep(0.02)
    return (a + b) / 2

forward.fuse_luminance = slow_mean
sys.exit(cli.main(sys.argv[1:]))
"""


def test_killed_and_resumed_nothing_is_half_written_or_made_twice(
    workplace, pairs, params
):
    arguments = ["fuse", "a", "b", "-o", "out", "--resume", "--no-cache"]
    command = [sys.executable, "-c", SLOW_COMMAND, *arguments]
    command += ["--weights", "weights.safetensors"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    out = workplace / "out"
    deadline = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    made = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 10 <= len(made) < COUNT

    def is_right(path):
        mean = pairs[int(path.stem)].mean(axis=0)
        expected = 255 * (mean - mean.min()) / np.ptp(mean)
        return np.abs(read_picture(path) - expected).max() < 0.5 + 1e-3

    assert all(is_right(path) for path in made)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept = [x for x in done.stdout.splitlines() if x.endswith(" kept")]
    assert len(kept) == len(made)
    assert len(done.stdout.splitlines()) == COUNT
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert len(list(out.glob("*.png"))) == COUNT
    assert all(is_right(path) for path in out.glob("*.png"))


def encoded(kind, picture, **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=kind, **options)
    return buffer.getvalue()


def mutated(content, rng):
    """Cut off, with some bits flipped, or with another header."""
    changed = bytearray(content)
    kind = rng.integers(3)
    if kind == 0:
        return bytes(changed[: rng.integers(len(changed))])
    stop = min(64, len(changed)) if kind == 1 else len(changed)
    for place in rng.integers(0, stop, rng.integers(1, 6)):
        changed[place] = rng.integers(256) if kind == 1 else changed[place] ^ 4
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # as in the command; Pillow warns of many things
def test_300_damaged_files_give_a_picture_or_one_sentence_each(
    workplace, capsys, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    rgb = RNG.integers(0, 256, (12, 9, 3), np.uint8)
    deep = RNG.integers(0, 65536, (12, 9), np.uint16)
    originals = [
        encoded("PNG", rgb, exif=exif, icc_profile=b"0" * 200),
        encoded("JPEG", rgb, exif=exif, icc_profile=b"0" * 200),
        encoded("TIFF", rgb, exif=exif, compression="tiff_deflate"),
        encoded("WEBP", rgb, exif=exif),
        encoded("BMP", rgb),
        encoded("GIF", rgb[..., 0]),
        encoded("PNG", deep),
        encoded("TIFF", deep),
        encoded("PPM", rgb),
        encoded("JPEG2000", rgb),
    ]
    for folder in ("a", "b"):
        (workplace / folder).mkdir()
    for i in range(300):
        content = mutated(originals[i % 10], np.random.default_rng(i))
        (workplace / "a" / f"{i}.png").write_bytes(content)
        Image.fromarray(rgb).save(workplace / "b" / f"{i}.png")
    assert fuse("a", "b", "-o", "out", "--align=resize") == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    written = {line.split()[0].split("/")[1][:-4] for line in out.splitlines()}
    *failed, summary = err.splitlines()
    named = {line.split(":")[1].strip() for line in failed}
    assert all(line.startswith("refusion: ") for line in failed)
    assert len(failed) == len(named) and not named & written
    assert named | written == {str(i) for i in range(300)}
    assert f"{len(written)} of 300 written, {len(failed)} failed" in summary
    assert min(len(written), len(failed)) > 50
    for stem in written:
        read_picture(workplace / "out" / f"{stem}.png")
