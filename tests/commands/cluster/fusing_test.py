"""`refusion fuse --engine=ray`: the same pictures, each written once, whoever dies."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray", reason="ray is in the extra `cluster`")

ROOT = str(Path(__file__).parents[3])
# 1,000 before a release.
PAIRS = int(os.environ.get("REFUSION_RAY_PAIRS", "96"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of pairs, and one that a text among the pictures spoils."""
    root = tmp_path_factory.mktemp("ray")
    generator = np.random.default_rng(0)
    for side in ("a", "b"):
        (root / side).mkdir()
        for number in range(PAIRS):
            levels = generator.integers(0, 256, (24, 32), np.uint8)
            Image.fromarray(levels).save(root / side / f"{number:04d}.png")
    return root


def command(folders, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "refusion_jax", "fuse", *arguments, "--task=ivif"],
        cwd=folders,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def local(folders):
    """The pictures of the local command."""
    with command(folders, "a", "b", "-o", "local") as process:
        out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return out, folders / "local"


class Watch(threading.Thread):
    """Notes when each file of a folder was last written, and how often it changed."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.seen, self.writes = folder, {}, {}
        self.is_over = False

    def run(self):
        while not self.is_over:
            for entry in os.scandir(self.folder) if self.folder.exists() else ():
                if entry.name.endswith(".png"):
                    time_of = entry.stat().st_mtime_ns
                    if self.seen.get(entry.name) != time_of:
                        self.seen[entry.name] = time_of
                        self.writes[entry.name] = self.writes.get(entry.name, 0) + 1
            time.sleep(0.01)


def workers_of(session):
    """Returns the process numbers of a session's workers of Ray."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            title = (place / "cmdline").read_bytes()
            if (
                title.startswith(b"ray::MapWorker")
                and int((place / "stat").read_text().rsplit(")", 1)[1].split()[3])
                == session
            ):
                found.append(int(place.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def test_a_worker_that_is_killed_costs_nothing(folders, local):
    output = folders / "spread"
    watch = Watch(output)
    watch.start()
    arguments = ("a", "b", "-o", "spread", "--engine=ray", "--workers=2")
    with command(folders, *arguments, start_new_session=True) as process:
        deadline = time.monotonic() + 300
        while len(watch.writes) < PAIRS // 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        killed = workers_of(os.getsid(process.pid))
        os.kill(killed[0], signal.SIGKILL)
        out, err = process.communicate(timeout=900)
    watch.is_over = True
    watch.join()
    assert process.returncode == 0, err
    lines = sorted(out.replace("spread/", "local/").splitlines())
    assert lines == sorted(local[0].splitlines())
    assert re.search(rf"{PAIRS} of {PAIRS} written, \d", err)
    for path in local[1].iterdir():
        assert (output / path.name).read_bytes() == path.read_bytes()
    assert set(watch.writes.values()) == {1}
    assert sorted(path.name for path in output.iterdir()) == sorted(watch.writes)


def test_buckets_failures_and_what_is_kept(folders, local):
    """By addresses of fsspec; one pair is spoilt, one output is there already."""
    for side in ("a", "b"):
        (folders / "few" / side).mkdir(parents=True)
        for number in range(3):
            name = f"{number:04d}.png"
            (folders / "few" / side / name).write_bytes(
                (folders / side / name).read_bytes()
            )
    (folders / "few" / "b" / "0001.png").write_text("no picture")
    kept = local[1] / "0002.png"
    output = folders / "few" / "made"
    output.mkdir()
    (output / "0002.png").write_bytes(kept.read_bytes())
    places = [f"local://{folders}/few/{name}" for name in ("a", "b")]
    with command(
        folders,
        *places,
        *("-o", f"local://{output}", "--engine=ray", "--workers=1", "--resume"),
    ) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert f"local://{output}/0000.png 32x24" in out
    assert f"local://{output}/0002.png kept" in out
    assert re.search("0001: .*0001.png", err)
    assert "1 of 3 written, 1 kept, 1 failed (0001)" in err
    assert (output / "0000.png").read_bytes() == (local[1] / "0000.png").read_bytes()
    assert not (output / "0001.png").exists()
    assert not list(output.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("s3://b/a", "b", "-o", "out"),
            "expected --engine=ray with s3://b/a, got local",
        ),
        (
            ("a", "b", "-o", "out", "--workers=2"),
            "expected --engine=ray with --workers, got local",
        ),
        (
            ("a", "b", "-o", "out", "--engine=ray", "--workers=0"),
            "expected --workers of 1 or more, got 0",
        ),
        (
            ("local:///nowhere", "b", "-o", "out", "--engine=ray"),
            "expected pictures in local:///nowhere, got none",
        ),
        (
            ("local:///nowhere", "b", "-o", "out", "--engine=ray", "--maps"),
            "expected folders of this machine with --maps, got a bucket",
        ),
        (
            ("local:///nowhere", "b", "-o", "out", "--engine=ray", "--axis=axial"),
            "expected volumes with --axis, got other sources",
        ),
        (
            ("a", "b", "-o", "local:///proc/out", "--engine=ray"),
            "/proc",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(
    folders, capsys, monkeypatch, arguments, sentence
):
    from refusion_jax.cli import main

    monkeypatch.chdir(folders)
    assert main(["fuse", *arguments, "--task=ivif"]) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("output", "more", "named"),
    [
        ("memory://b/ir", (), "other than the sources, got memory://b/ir/1.png; name"),
        ("memory:///b/vi/", (), "than the sources, got memory:///b/vi/1.png; name"),
        ("memory://b/vi", ("--recursive",), "outside the sources with --recursive"),
        (
            "memory://b/ir/deep/",
            ("--recursive",),
            "with --recursive, got memory://b/ir/deep, whose pictures would",
        ),
        ("b", ("--recursive",), "outside the sources with --recursive"),
        ("local://HERE/b", (), "than the sources, got local://HERE/b/1.png; name"),
        (
            "file://HERE/b/deep",
            ("--recursive",),
            "with --recursive, got file://HERE/b/deep, whose",
        ),
    ],
)
def test_sources_in_buckets_are_never_written_over(
    tmp_path, capsys, monkeypatch, output, more, named
):
    import fsspec

    from refusion_jax.cli import main

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "b" / "1.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(path)
    store = fsspec.filesystem("memory")
    monkeypatch.setattr(type(store), "store", {})
    monkeypatch.setattr(type(store), "pseudo_dirs", [""])
    for side in ("ir", "vi"):
        store.pipe_file(f"/b/{side}/1.png", path.read_bytes())
    output, named = (x.replace("HERE", str(tmp_path)) for x in (output, named))
    arguments = ["memory://b/ir", "memory://b/vi/", "b", "-o", output, *more]
    assert main(["fuse", *arguments, "--task=ivif", "--engine=ray"]) == 2
    err = capsys.readouterr().err
    assert named in err and err.count("\n") == 1
