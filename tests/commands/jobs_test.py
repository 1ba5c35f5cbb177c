from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refusion_jax.commands.jobs import (
    Job,
    Output,
    check_quality,
    is_finished,
    plan_jobs,
)
from refusion_jax.pictures.notes import PictureWarning

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
    out = folders[0] / "out.tif"
    with pytest.warns(PictureWarning, match="3 pictures are fused into one"):
        assert plan_jobs([a, b, c], out) == [Job("x", (a, b, c), out)]
    assert plan_jobs([a, b], folders[2].parent)[0].output == a.parent.parent / "x.png"


def test_folders_are_paired_and_sorted_by_number(folders):
    jobs = plan_jobs(folders, Path("out"))
    assert [job.stem for job in jobs] == ["scene 9", "scene 10", "x"]
    assert jobs[1].sources == tuple(folder / "scene 10.png" for folder in folders)
    assert jobs[1].output == Path("out/scene 10.png")


def test_no_output_is_a_source_of_any_job(folders):
    # Paired by order: the output of a/x.png would be b/x.png, the source of another.
    a, b, _ = folders
    (b / "scene 9.png").rename(b / "y.png")
    (a / "scene 9.png").rename(a / "a.png")
    message = r"other than the sources, got .*b/scene 10"
    with pytest.warns(PictureWarning), pytest.raises(ValueError, match=message):
        plan_jobs([a, b], b, pair="order")


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


def test_one_folder_is_a_stack_in_natural_order(folders, tmp_path):
    (job,) = plan_jobs(folders[:1], tmp_path / "out.tif")
    assert [x.stem for x in job.sources] == ["scene 9", "scene 10", "x"]
    (job,) = plan_jobs(folders[:1], Output(tmp_path / "new", is_folder=True))
    assert job.output == tmp_path / "new" / "a.png"


def test_one_file_of_several_pages_is_a_stack_and_one_of_one_page_is_not(tmp_path):
    pages = [Image.fromarray(PICTURE), Image.fromarray(PICTURE)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    (job,) = plan_jobs([tmp_path / "x.tif"], tmp_path / "out.png")
    assert job.sources == (tmp_path / "x.tif",)
    pages[0].save(tmp_path / "y.tif")
    with pytest.raises(ValueError, match=r"got .*y\.tif, which has one page; name the"):
        plan_jobs([tmp_path / "y.tif"], tmp_path / "out.png")


def test_pairs_named_by_a_pattern_of_the_shell_are_no_stack(folders, tmp_path):
    sources = [f / f"{x}.png" for f in folders[:2] for x in ("x", "scene 9")]
    with pytest.raises(
        ValueError, match=r"got 4 files with only 2 names; name folders"
    ):
        plan_jobs(sources, Output(tmp_path / "new", is_folder=True))
    with pytest.warns(PictureWarning, match="4 pictures are fused into one"):
        plan_jobs(sources, tmp_path / "out.png")


def test_an_output_that_cannot_be_written_is_refused_before_the_work(folders):
    a, b = (folder / "x.png" for folder in folders[:2])
    with pytest.raises(FileNotFoundError, match=r"no folder at nowhere; create it"):
        plan_jobs([a, b], Path("nowhere/out.png"))
    with pytest.raises(ValueError, match=r"got st\.png, the name of a picture"):
        plan_jobs(folders, Path("st.png"))


def test_unread_kinds_are_jobs_unless_a_picture_has_their_name(folders):
    for folder in folders:
        (folder / "x.CR2").write_bytes(b"raw")
        (folder / "y.heic").write_bytes(b"phone")
        (folder / "Thumbs.db").write_bytes(b"system")
        (folder / "z.cr2").write_bytes(b"raw")
    jobs = plan_jobs(folders, Path("out"))
    assert [job.sources[0].name for job in jobs][2:] == ["x.png", "y.heic", "z.cr2"]


def test_pictures_of_subfolders_are_paired_by_their_place(folders, tmp_path):
    for folder in folders[:2]:
        for place in ("day", "day/noon", ".hidden", "@eaDir/x.png"):
            (folder / place).mkdir(parents=True)
            Image.fromarray(PICTURE).save(folder / place / "x.png")
    with pytest.raises(ValueError, match=r"outside the sources with --recursive"):
        plan_jobs(folders[:2], folders[1] / "out", is_recursive=True)
    jobs = plan_jobs(folders[:2], tmp_path / "out", is_recursive=True)
    stems = ["day/noon/x", "day/x", "scene 9", "scene 10", "x"]
    assert [job.stem for job in jobs] == stems
    assert jobs[0].sources == tuple(f / "day/noon/x.png" for f in folders[:2])
    assert jobs[0].output == tmp_path / "out/day/noon/x.png"
    assert len(plan_jobs(folders[:2], tmp_path / "out")) == 3  # as without the option
    (folders[1] / "day/x.png").unlink()
    with pytest.raises(ValueError, match=r"partner day/x\.\* is missing in .*b;"):
        plan_jobs(folders[:2], tmp_path / "out", is_recursive=True)
    with pytest.raises(ValueError, match=r"two or more folders with --recursive, got"):
        plan_jobs(folders[:1], tmp_path / "out", is_recursive=True)


def test_the_format_in_a_folder_is_chosen_and_a_files_is_its_own(folders, tmp_path):
    output = Output(tmp_path / "out", ending=".tif")
    names = {job.output.name for job in plan_jobs(folders, output)}
    assert names == {"scene 9.tif", "scene 10.tif", "x.tif"}
    pair = [folder / "x.png" for folder in folders[:2]]
    with pytest.raises(ValueError, match=r"with --ext, got .*x\.jpg; leave --ext out"):
        plan_jobs(pair, Output(tmp_path / "x.jpg", ending=".tif"))
    with pytest.raises(ValueError, match=r"ending in one of \.png.*, got '\.xyz'"):
        plan_jobs(folders, Output(tmp_path / "out", ending=".xyz"))


def test_a_quality_that_does_not_act_is_refused(tmp_path):
    jobs = [Job(x, (), tmp_path / x) for x in ("a.jpg", "b.JPEG", "c.png")]
    check_quality(jobs[:2], 100)
    check_quality(jobs, None)
    with pytest.raises(ValueError, match=r"--quality of 1 to 100, got 0"):
        check_quality(jobs[:2], 0)
    with pytest.raises(
        ValueError, match=r"a JPEG to write with --quality, got .*c\.png"
    ):
        check_quality(jobs, 90)
