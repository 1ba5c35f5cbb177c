from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.commands.jobs import Job, is_finished, plan_jobs

PICTURE = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.fixture
def folders(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for stem in ("scene 10", "scene 9", "x"):
            Image.fromarray(PICTURE).save(tmp_path / name / f"{stem}.png")
    return [tmp_path / name for name in ("a", "b", "c")]


def test_files_are_one_job(folders):
    a, b, c = (folder / "x.png" for folder in folders)
    out = Path("nowhere/out.tif")
    assert plan_jobs([a, b, c], out) == [Job("x", (a, b, c), out)]
    assert plan_jobs([a, b], folders[2].parent)[0].output == a.parent.parent / "x.png"


def test_folders_are_paired_and_sorted_by_number(folders):
    jobs = plan_jobs(folders, Path("out"))
    assert [job.stem for job in jobs] == ["scene 9", "scene 10", "x"]
    assert jobs[1].sources == tuple(folder / "scene 10.png" for folder in folders)
    assert jobs[1].output == Path("out/scene 10.png")


def test_a_missing_partner_in_any_folder_is_named(folders):
    (folders[2] / "x.png").unlink()
    with pytest.raises(ValueError, match=rf"x\.\* is missing in {folders[2]}"):
        plan_jobs(folders, Path("out"))


def test_folders_are_not_fused_into_a_file(folders, tmp_path):
    output = tmp_path / "out.png"
    output.write_bytes(b"")
    with pytest.raises(FileExistsError, match=rf"got the file {output}, which exists"):
        plan_jobs(folders, output)


@pytest.mark.parametrize("content", [None, b"", b"no picture", "cut off"])
def test_only_what_is_whole_is_finished(tmp_path, content):
    job = Job("x", (), tmp_path / "x.png")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    if content is not None:
        Image.fromarray(noise).save(job.output)
        assert is_finished(job)
        whole = job.output.read_bytes()
        job.output.write_bytes(whole[:900] if content == "cut off" else content)
    assert not is_finished(job)
