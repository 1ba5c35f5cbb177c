"""The training binary as a user runs it: a process of its own, killed and resumed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.runs import run
from refusion_jax.runs.settings import chosen_config
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
    "--steps_per_dispatch=1",
    "--holdout_pairs=1",
    "--judged_pairs=0",  # else each process compiles F for fusing, too
)
TINY = ("--method=tiny", "--fusion_steps=100", "--save_every=10")


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
    program = "tests/tiny_train.py" if TINY[0] in flags else "experiments/train.py"
    command = [sys.executable, program, f"--workdir={workdir}"]
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


def wait_until(reached, process):
    """Returns once `reached()` is true; fails if the process ends before."""
    for _ in range(3000):
        if reached():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    raise AssertionError("not reached in five minutes")


def logged_step(workdir):
    lines = read_scalars(workdir / "scalars.jsonl")
    return lines[-1]["step"] if lines else 0


def saved_steps(workdir):
    """Steps whose checkpoints are complete: Orbax names a folder so at its end."""
    folders = (workdir / "checkpoints").iterdir()
    return sorted(int(x.name) for x in folders if x.name.isdigit())


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


def test_a_run_of_the_real_networks_ends_with_weights_and_finite_losses(folder):
    workdir = folder / "real"
    code, errors = finish(start(folder, workdir, "--epochs=1", "--fusion_steps=1"))
    assert code == 0, errors
    lines = read_scalars(workdir / "scalars.jsonl")
    assert [x["stage"] for x in lines] == ["validation", "meta", "fusion", "validation"]
    assert all(np.isfinite(v) for x in lines for k, v in x.items() if k != "stage")
    trees = load_weights(workdir / "weights.safetensors").trees
    assert trees.keys() == {"fusion", "reconstruction", "proposal"}


def test_whatever_interrupts_a_run_it_ends_with_the_bits_of_an_uninterrupted_one(
    folder, tiny_method
):
    """Stopped by a signal, then killed, then its newest checkpoint is damaged."""
    whole, workdir = folder / "whole", folder / "interrupted"
    code, errors = finish(start(folder, whole, *TINY))
    assert code == 0, errors
    process = start(folder, workdir, *TINY, "--save_every=1000")
    wait_until(lambda: logged_step(workdir) >= 2, process)
    process.send_signal(signal.SIGTERM)
    code, errors = finish(process)
    assert code == 128 + signal.SIGTERM, errors
    assert "Stopped by SIGTERM, saved at step" in errors
    assert "Traceback" not in errors
    process = start(folder, workdir, *TINY)
    # The signal's and another: a save in the background may lag behind the log.
    wait_until(lambda: len(saved_steps(workdir)) > 1, process)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "Resuming from step" in errors
    steps = saved_steps(workdir)
    flip_a_bit(workdir / "checkpoints" / str(steps[-1]) / "params_proposal")
    code, errors = finish(start(folder, workdir, *TINY))
    assert code == 0, errors
    assert f"Checkpoint {steps[-1]} is damaged" in errors
    assert f"Resuming from step {steps[-2]}" in errors
    assert_same_weights(workdir, whole)
    assert without_speed(workdir) == without_speed(whole)


def spoil_unpaired(folder):
    (folder / "b" / "1.png").unlink()
    return "1"


def spoil_size(folder):
    Image.new("L", (30, 30)).save(folder / "b" / "1.png")
    return "1.png"


def spoil_small(folder):
    for side in "ab":
        Image.new("L", (9, 30)).save(folder / side / "1.png")
    return "16"


def spoil_all(folder):
    for path in (folder / "a").iterdir():
        path.unlink()
    return "got none; name the folder"


@pytest.mark.parametrize("spoil", [spoil_unpaired, spoil_size, spoil_small, spoil_all])
def test_bad_input_is_refused_before_anything_is_written(folder, tmp_path, spoil):
    copy_pairs(folder, tmp_path)
    named = spoil(tmp_path)
    values = {f"source_{side}": str(tmp_path / side) for side in "ab"}
    config = chosen_config({**values, "crop_size": 16, "holdout_pairs": 1})
    with pytest.raises((ValueError, OSError), match=named) as refusal:
        run.start(config, tmp_path / "run")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def copy_pairs(folder, to):
    for side in "ab":
        (to / side).mkdir()
        for path in (folder / side).iterdir():
            (to / side / path.name).write_bytes(path.read_bytes())


def test_what_is_wrong_with_pictures_or_flags_is_one_sentence(folder, tmp_path):
    copy_pairs(folder, tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"no picture")
    cases = {
        "--seed=1": "1.png",
        "--source_a=": "expected a data set or two folders of pictures, got one folder",
        "--object_share=2": "expected object_share to be at most 1, got 2.0",
    }
    for flag, expected in cases.items():
        code, errors = finish(start(tmp_path, tmp_path / "run", flag))
        assert code == 1 and expected in errors
        assert len(errors.strip().splitlines()) == 1, errors
        assert not (tmp_path / "run").exists()
