"""The training binary as a user runs it: a process of its own, killed and resumed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.training.scalars import read_scalars
from refusion_jax.weights.store import load_weights

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--preset=paper",
    "--crop_size=16",
    "--batch_size=2",
    "--reconstruction_blocks=1",
    "--epochs=2",
    "--meta_steps=1",
    "--fusion_steps=9",
    "--steps_per_dispatch=1",
    "--save_every=2",
    "--holdout_pairs=1",
    "--judged_pairs=0",  # else each process compiles F for fusing, too
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four pairs on disk."""
    folder = tmp_path_factory.mktemp("binary")
    generator = np.random.default_rng(0)
    for side in "ab":
        (folder / side).mkdir()
        for stem in range(4):
            pixels = generator.integers(0, 256, (24, 20), np.uint8)
            Image.fromarray(pixels).save(folder / side / f"{stem}.png")
    return folder


def start(folder, workdir, *flags):
    command = [sys.executable, "experiments/train.py", f"--workdir={workdir}"]
    command += [f"--source_a={folder / 'a'}", f"--source_b={folder / 'b'}"]
    return subprocess.Popen(
        [*command, *FLAGS, *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def wait_for_step(workdir, step, process):
    """Returns once the log has reached a step."""
    for _ in range(3000):
        lines = read_scalars(workdir / "scalars.jsonl")
        if lines and lines[-1]["step"] >= step:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    raise AssertionError(f"no step {step} in five minutes")


@pytest.fixture(scope="module")
def uninterrupted(folder):
    workdir = folder / "uninterrupted"
    code, errors = finish(start(folder, workdir))
    assert code == 0, errors
    return workdir


def assert_same_weights(workdir, other):
    ours, theirs = (
        load_weights(x / "weights.safetensors").trees for x in (workdir, other)
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_equal(ours[name], theirs[name])


def without_speed(workdir):
    lines = read_scalars(workdir / "scalars.jsonl")
    return [{k: v for k, v in x.items() if k != "steps_per_second"} for x in lines]


def flip_a_bit(folder):
    """Damages the largest file of a folder."""
    victim = max(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0x10
    victim.write_bytes(content)


def test_whatever_interrupts_a_run_it_ends_with_the_bits_of_an_uninterrupted_one(
    folder, uninterrupted
):
    """Stopped by a signal, then killed, then its newest checkpoint is damaged."""
    workdir = folder / "interrupted"
    process = start(folder, workdir, "--save_every=1000")
    wait_for_step(workdir, 2, process)
    process.send_signal(signal.SIGTERM)
    code, errors = finish(process)
    assert code == 128 + signal.SIGTERM, errors
    assert "Stopped by SIGTERM, saved at step" in errors
    assert "Traceback" not in errors
    process = start(folder, workdir)
    wait_for_step(workdir, 14, process)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "Resuming from step" in errors
    checkpoints = workdir / "checkpoints"
    steps = sorted(int(x.name) for x in checkpoints.iterdir() if x.name.isdigit())
    flip_a_bit(checkpoints / str(steps[-1]) / "params_proposal")
    code, errors = finish(start(folder, workdir))
    assert code == 0, errors
    assert f"Checkpoint {steps[-1]} is damaged" in errors
    assert f"Resuming from step {steps[-2]}" in errors
    assert_same_weights(workdir, uninterrupted)
    assert without_speed(workdir) == without_speed(uninterrupted)


def spoil_unpaired(folder):
    (folder / "b" / "1.png").unlink()
    return "1"


def spoil_size(folder):
    Image.new("L", (30, 30)).save(folder / "b" / "1.png")
    return "1.png"


def spoil_bytes(folder):
    (folder / "a" / "1.png").write_bytes(b"no picture")
    return "1.png"


def spoil_small(folder):
    for side in "ab":
        Image.new("L", (9, 30)).save(folder / side / "1.png")
    return "16"


def spoil_all(folder):
    for path in (folder / "a").iterdir():
        path.unlink()
    return "got none; name the folder"


@pytest.mark.parametrize(
    "spoil", [spoil_unpaired, spoil_size, spoil_bytes, spoil_small, spoil_all]
)
def test_bad_input_is_one_sentence(folder, tmp_path, spoil):
    for side in "ab":
        (tmp_path / side).mkdir()
        for path in (folder / side).iterdir():
            (tmp_path / side / path.name).write_bytes(path.read_bytes())
    named = spoil(tmp_path)
    code, errors = finish(start(tmp_path, tmp_path / "run"))
    assert code == 1
    assert named in errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert not (tmp_path / "run").exists()


def test_missing_folders_and_bad_values_are_one_sentence(folder, tmp_path):
    cases = {
        "--source_a=": "expected a data set or two folders of pictures, got one folder",
        "--batch_size=0": "expected batch_size of at least 1, got 0",
        "--meta_gradient=maml": "expected meta_gradient among exact",
        "--object_share=2": "expected object_share of at most 1, got 2.0",
    }
    for flag, expected in cases.items():
        code, errors = finish(start(folder, tmp_path / "run", flag))
        assert code == 1 and expected in errors
        assert len(errors.strip().splitlines()) == 1, errors
