import dataclasses
import hashlib
import io
import json
import shlex
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image
from web.visitors import encoded, scene

from refusion_jax import metrics
from refusion_jax.cli import _parser
from refusion_jax.fusing.inference import fuse
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.codecs import to_luminance
from refusion_jax.pictures.names import ALIGNMENTS
from refusion_jax.pictures.photographs import origin_of
from refusion_jax.web import work
from refusion_jax.web.jobs import Job
from refusion_jax.web.models import Models
from refusion_jax.web.options import Options, command_of, python_of
from refusion_jax.weights.pretrained import pretrained

GREY, COLOUR = scene()
PAIR = [("sources", (f"{i}.png", encoded(x))) for i, x in enumerate((GREY, COLOUR))]


def test_the_page_and_its_files_are_there(visitor):
    page = visitor.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    names = ("page.css", "viewer.css", "viewer.js", "app.js", "app.css")
    for name in names:
        assert f"/assets/{name}" in page.text
        assert visitor.client.get(f"/assets/{name}").status_code == 200
    assert visitor.client.get("/assets/routes.py").status_code == 404


def test_pages_load_nothing_from_elsewhere(visitor):
    for path in ("/", "/assets/app.css", "/assets/page.css", "/assets/api.js"):
        assert "http" not in visitor.client.get(path).text.replace("doctype html", "")


def test_weights_tell_what_they_are(visitor):
    told = visitor.client.get("/api/weights").json()
    offers = {offer["name"]: offer for offer in told["weights"]}
    assert set(offers) == {"mean", "mapless", *(x.name for x in pretrained())}
    assert offers["mapless"]["no_maps"].startswith("expected weights with P")
    assert offers["mean"]["no_maps"] == ""
    for shipped in pretrained():
        assert offers[shipped.name]["sha256"] == shipped.sha256
    assert {rule["name"] for rule in told["rules"]} >= {"range", "align", "levels"}


def test_a_fusion_equals_that_of_the_library(visitor, models, tmp_path):
    job = visitor.fuse(range="source")
    assert job["state"] == "done", job["error"]
    for name, picture in (("a", GREY), ("b", COLOUR)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(visitor.picture(job, f"{name}.png"), picture)
    expected = fuse(
        tmp_path / "a.png", tmp_path / "b.png",
        weights=models.model("mean"), output_range="source",
    )  # fmt: skip
    np.testing.assert_array_equal(visitor.picture(job, "fused.png"), expected)
    average = (GREY[..., None].astype(float) + COLOUR) / 2
    shown = visitor.picture(job, "average.png")
    assert np.abs(shown - average).max() <= 0.5 + 1e-3


def test_pictures_are_described_and_fused_by_their_ids(visitor):
    deep = np.linspace(7000, 14470, GREY.size).astype(np.uint16).reshape(GREY.shape)
    files = [
        ("sources", ("hot.png", encoded(deep))),
        ("sources", ("vis.png", encoded(COLOUR))),
    ]
    sent = visitor.run("/api/pictures", files)
    hot, visible = sent["result"]["pictures"]
    assert (hot["width"], hot["height"], hot["depth"]) == (40, 32, "16 bit")
    assert (hot["low"], hot["high"], hot["is_narrow"]) == (7000, 14470, True)
    assert visible["is_coloured"] and not visible["is_narrow"]
    thumb = visitor.picture(sent, hot["thumb"])
    assert thumb.min() == 0 and thumb.max() == 255
    job = visitor.run(
        "/api/fuse", picture=[hot["picture"], visible["picture"]], weights="mean"
    )
    assert job["state"] == "done" and "hot.png uses the levels" in job["notes"][0]


def test_sources_are_swapped_where_looks_say_so(visitor):
    files = [
        ("sources", ("1.png", encoded(COLOUR))),
        ("sources", ("2.png", encoded(GREY))),
    ]
    told = visitor.run("/api/guess", files)["result"]
    assert told["is_reversed"] and "at most one of them in colour" in told["reason"]
    named = [("sources", (name, x)) for (_, (_, x)), name in zip(
        files, ("vi.png", "ir.png"), strict=True)]  # fmt: skip
    again = visitor.run("/api/guess", named)["result"]
    assert again["weights"] == told["weights"] and again["is_reversed"]


def three_pages():
    pages = [Image.fromarray(GREY // k) for k in (2, 3)]
    return encoded(GREY, "TIFF", save_all=True, append_images=pages)


def send_three_pages(visitor):
    """Sends a file of three pages; the ids of these, and what they are called."""
    sent = visitor.run("/api/pictures", [("sources", ("stack.tif", three_pages()))])
    assert sent["notes"] == []
    return sent["result"]["pictures"]


def test_pages_of_one_file_are_a_stack(visitor):
    pictures = send_three_pages(visitor)
    assert [x["name"] for x in pictures] == [f"stack.tif, page {i}" for i in (1, 2, 3)]
    job = visitor.run(
        "/api/fuse", picture=[x["picture"] for x in pictures], weights="mean"
    )
    np.testing.assert_array_equal(visitor.picture(job, "c.png"), GREY // 3)
    assert "these are 3" in job["result"]["no_maps"]


def test_pages_beyond_the_most_are_told(visitor, monkeypatch):
    monkeypatch.setattr(work, "MOST_PAGES", 2)
    sent = visitor.run("/api/pictures", [("sources", ("stack.tif", three_pages()))])
    assert len(sent["result"]["pictures"]) == 2
    assert sent["notes"] == [
        "stack.tif has 3 pages: only the first 2 are read; split it for the others."
    ]


def test_scores_equal_those_of_the_metrics(visitor):
    job = visitor.fuse()
    scored = visitor.run("/api/metrics", job=job["id"], metrics="en,mse")["result"]
    fused = to_luminance(visitor.picture(job, "fused.png"))
    expected = metrics.compute(GREY, to_luminance(COLOUR), fused, ["en", "mse"])
    assert scored["candidates"] == ["Fused", "Average", "Maximum"]
    en, mse = scored["rows"]
    assert [en["values"][0], mse["values"][0]] == pytest.approx(list(expected.values()))
    assert en["higher_is_better"] and not mse["higher_is_better"]
    maximum = np.maximum(GREY, to_luminance(COLOUR))
    assert en["values"][2] == pytest.approx(
        metrics.compute(GREY, GREY, maximum, ["en"])["en"]
    )
    sent = [
        (name, ("x.png", encoded(x)))
        for name, x in (("a", GREY), ("b", COLOUR), ("fused", fused))
    ]
    again = visitor.run("/api/metrics", sent, metrics="en,mse")["result"]
    assert [row["values"][0] for row in again["rows"]] == [
        row["values"][0] for row in scored["rows"]
    ]


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_pictures_of_different_sizes_are_not_scored(visitor, odd):
    sizes = [(32, 40)] * 3
    sizes[odd] = (32, 20)
    files = [
        (name, (f"{name}.png", encoded(GREY[:height, :width])))
        for name, (height, width) in zip(("a", "b", "fused"), sizes, strict=True)
    ]
    job = visitor.run("/api/metrics", files, metrics="en")
    told = ", ".join(f"{width} x {height}" for height, width in sizes)
    assert job["error"] == (
        f"expected three pictures of one size, got {told}; crop or resize them."
    )


def test_maps_hold_what_the_model_says(visitor):
    job = visitor.fuse()
    assert job["result"]["no_maps"] == ""
    maps = visitor.run("/api/maps", job=job["id"])
    assert maps["result"]["maps"] == ["w_a", "w_b"]
    assert len(maps["result"]["ramp"]) == 256
    a, b = GREY.astype(float), to_luminance(COLOUR).astype(float)
    shown = visitor.picture(maps, "w_a.png")
    assert np.abs(shown - 255 * a / (a + b)).max() < 1


def test_weights_without_maps_say_why(visitor):
    files = [
        ("sources", ("a.png", encoded(GREY))),
        ("sources", ("b.png", encoded(COLOUR))),
    ]
    job = visitor.run("/api/fuse", files, weights="mapless")
    assert job["result"]["no_maps"].startswith("expected weights with P")


def test_downloads_have_their_format_and_depth(visitor):
    deep = np.linspace(0, 65535, GREY.size).astype(np.uint16).reshape(GREY.shape)
    files = [("sources", (f"{i}.png", encoded(deep))) for i in range(2)]
    job = visitor.run("/api/fuse", files, weights="mean", range="none")
    assert job["result"]["is_deep"]
    kinds = {"png": "PNG", "png8": "PNG", "tiff": "TIFF", "jpeg": "JPEG"}
    for name, kind in kinds.items():
        made = visitor.run(f"/api/jobs/{job['id']}/convert", format=name)
        content = visitor.file(made, made["result"]["file"])
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == kind
            is_deep = np.asarray(image).max() > 255
        assert is_deep == (name in ("png", "tiff"))


def test_downloads_tell_how_they_were_made(visitor, tmp_path):
    """By the rules that were chosen, not those that are left after registering."""
    rules = Rules(align="register", motion="translation")
    drawn = visitor.client.get("/api/example/visible.png").content
    picture = np.asarray(Image.open(io.BytesIO(drawn)))[:160, :200]
    files = [
        ("sources", (name, encoded(x)))
        for name, x in (("a.png", picture[6:, 8:]), ("b.png", picture[:-6, :-8]))
    ]
    asked = {"weights": "mean", "align": rules.align, "motion": rules.motion}
    job = visitor.run("/api/fuse", files, **asked)
    assert job["state"] == "done", job["error"]
    for name in ("png", "png8", "tiff", "jpeg"):
        made = visitor.run(f"/api/jobs/{job['id']}/convert", format=name)
        file = tmp_path / made["result"]["file"]
        file.write_bytes(visitor.file(made, file.name))
        told = json.loads(origin_of(file))
        assert (told["weights"], told["weights_sha256"]) == (None, None)
        assert told["sources"] == ["a.png", "b.png"]
        assert told["options"] == dataclasses.asdict(rules)


def test_the_zip_holds_the_picture_and_what_made_it(visitor):
    job = visitor.fuse(range="source", align="crop")
    maps = visitor.run("/api/maps", job=job["id"])
    made = visitor.run("/api/pack", job=job["id"], maps=maps["id"])
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    assert packed.namelist() == ["fused.png", "fuse.json", "w_a.png", "w_b.png"]
    facts = json.loads(packed.read("fuse.json"))
    assert facts["sources"][0]["sha256"] == hashlib.sha256(encoded(GREY)).hexdigest()
    assert facts["weights"]["name"] == "mean"
    assert facts["rules"]["align"] == "crop" and facts["width"] == 40


def test_maps_are_packed_with_the_picture_that_they_explain_only(visitor):
    one, other = visitor.fuse()["id"], visitor.fuse()["id"]
    of_one, of_other = (visitor.run("/api/maps", job=x)["id"] for x in (one, other))
    of_files = visitor.run("/api/maps", PAIR, weights="mean")["id"]
    failed = visitor.run("/api/maps", PAIR[:1], weights="mean")
    assert failed["state"] == "failed"
    for jobs, maps in (
        ([one], [of_other]),
        ([one], [of_files]),
        ([one], [failed["id"]]),
        ([one, other], [of_one]),
        ([one, other], [of_other, of_one]),
        ([one], [of_one, of_one]),
    ):
        answer = visitor.post(
            "/api/pack", job=jobs, maps=maps, name=[*"ab"][: len(jobs)]
        )
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("expected no maps, or those of each")
    made = visitor.run(
        "/api/pack", job=[one, other], maps=[of_one, of_other], name=["a", "b"]
    )
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    assert {"a/w_a.png", "b/w_b.png"} < set(packed.namelist())


def test_batches_pack_folders_that_lead_nowhere_else(visitor):
    jobs = [visitor.fuse()["id"] for _ in range(2)]
    made = visitor.run("/api/pack", job=jobs, name=["../../up", "b"])
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    assert {name.split("/")[0] for name in packed.namelist()} == {"_.._up", "b"}


def test_folders_whose_names_come_out_the_same_are_numbered(visitor):
    jobs = [visitor.fuse()["id"] for _ in range(6)]
    long = "x" * 80
    names = ["a+b", f"{long}1", "a_b", f"{long}2", "a_b", "a_b (2)"]
    expected = ["a_b", long, "a_b (2)", f"{long} (2)", "a_b (3)", "a_b _2_"]
    rows = json.dumps(list(zip(jobs, names, strict=True)))
    made = visitor.run("/api/pack", fusions=rows)
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    folders = [x.split("/")[0] for x in packed.namelist() if x.endswith(".png")]
    assert folders == expected
    made = visitor.run("/api/pack", job=jobs[:2], name=["a+b", "a*b"])
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    assert {x.split("/")[0] for x in packed.namelist()} == {"a_b", "a_b (2)"}


def test_a_batch_of_hundreds_is_packed(visitor):
    jobs = visitor.jobs
    first = jobs.get(visitor.fuse()["id"])

    def again(job):
        job.kept = first.kept
        return first.result

    rows = []
    for place in range(301):
        rows.append([jobs.submit(jobs.make("fuse"), again).id, f"pair {place}"])
        scored = jobs.submit(jobs.make("metrics"), lambda job: {})
    visitor.wait(scored.id)
    parts = [json.dumps(rows[:200]), json.dumps(rows[200:])]
    made = visitor.run("/api/pack", fusions=parts)
    assert made["result"] == {"file": "fused.zip", "missing": []}
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    assert [x for x in packed.namelist() if x.endswith(".png")] == [
        f"{name}/fused.png" for _, name in rows
    ]


def test_what_has_expired_is_left_out_of_a_batch_and_told(visitor):
    jobs = [visitor.fuse()["id"] for _ in range(3)]
    rows = json.dumps(list(zip(jobs, "abc", strict=True)))
    visitor.client.delete(f"/api/jobs/{jobs[1]}")
    made = visitor.run("/api/pack", fusions=rows)
    assert made["result"]["missing"] == [jobs[1]]
    packed = zipfile.ZipFile(io.BytesIO(visitor.file(made, "fused.zip")))
    assert {name.split("/")[0] for name in packed.namelist()} == {"a", "c"}
    # Who names jobs one by one hears at once that one is gone.
    assert visitor.post("/api/pack", job=jobs, name=[*"abc"]).status_code == 404
    for job in (jobs[0], jobs[2]):
        visitor.client.delete(f"/api/jobs/{job}")
    made = visitor.run("/api/pack", fusions=rows)
    assert made["result"] == {"file": "", "missing": jobs} and not made["files"]


def test_what_a_job_needs_makes_no_room_for_it(server):
    visitor = server(kept_jobs=2)
    jobs = [visitor.fuse()["id"] for _ in range(2)]
    made = visitor.run("/api/pack", job=jobs, name=["a", "b"])
    assert made["state"] == "done", made["error"]


def test_pictures_of_a_pack_have_a_folder_each_and_come_once(visitor):
    one, other = visitor.fuse()["id"], visitor.fuse()["id"]
    for fields in (
        {"job": [one, other]},
        {"job": [one, other], "name": ["a", "a"]},
        {"job": [one, one], "name": ["a", "b"]},
        {"fusions": json.dumps([[one, "a"], [one, "b"]])},
    ):
        answer = visitor.post("/api/pack", **fields)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("expected a name of its own for each")


@pytest.mark.parametrize("text", ["[", "{}", '[["x"]]', '[["x", 1]]', "[" * 60_000])
def test_a_batch_that_is_no_list_is_told(visitor, text):
    answer = visitor.post("/api/pack", fusions=text)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("expected fusions as JSON")


def test_the_command_and_the_lines_of_python_say_the_same():
    shipped = pretrained()[0]
    rule = next(x for x in ("none", "source") if x != shipped.output_range)
    options = Options(Models().offers[shipped.name], Rules(rule, "crop"), 1)
    names = ["in red.png", "-v.png"]
    parsed = _parser().parse_args(shlex.split(command_of(names, options))[1:])
    assert (parsed.a, parsed.more) == ("in red.png", ["./-v.png"])
    assert (parsed.task, parsed.align) == (shipped.name, "crop")
    assert parsed.output_range == rule
    lines = python_of(names, options)
    compile(lines, "lines", "exec")
    assert f"task={shipped.name!r}" in lines and "align='crop'" in lines
    assert f"output_range={rule!r}" in lines


def test_the_command_names_the_file_of_all_its_pages_in_order_only(visitor):
    pages = [x["picture"] for x in send_three_pages(visitor)]
    other = visitor.run("/api/pictures", PAIR[:1])["result"]["pictures"][0]["picture"]

    def told(*pictures):
        job = visitor.run("/api/fuse", picture=pictures, weights="mean", align="crop")
        return job["result"]["command"], job["result"]["python"]

    command, python = told(*pages)
    assert command == "refusion fuse stack.tif -o fused.png --align=crop"
    assert python.startswith("# refusion_jax.fuse takes the first page of a file")
    for pictures in (pages[::-1], pages[:2], [*pages, other], [other, pages[0]]):
        command, python = told(*pictures)
        assert command.startswith("# No command takes pages of a file, except")
        assert python.startswith("# refusion_jax.fuse takes no pages of a file")


def test_names_of_two_folders_are_paired(visitor):
    told = visitor.client.post(
        "/api/pairs",
        json={"folders": [["ir_1.png", "ir_2.png"], ["vi_2.jpg", "vi_1.jpg"]]},
    ).json()
    assert [pair[1:] for pair in told["pairs"]] == [
        ["ir_1.png", "vi_1.jpg"], ["ir_2.png", "vi_2.jpg"],
    ]  # fmt: skip
    assert "names that differ" in told["remark"]


def test_what_is_no_picture_is_not_paired(visitor):
    folders = [["1.png", "2.png", "Thumbs.db"], ["a.jpg", ".b.png", "b.jpg"]]
    answer = visitor.client.post(
        "/api/pairs", json={"folders": folders, "rule": "order"}
    )
    told = answer.json()
    assert told["pairs"] == [["1", "1.png", "a.jpg"], ["2", "2.png", "b.jpg"]]
    assert told["alone"] == []


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (
            ["1.png"],
            ["1.png", "1.jpg"],
            "expected one picture per stem in the second folder, got 1.jpg and 1.png; "
            "rename or remove one.",
        ),
        (
            ["notes.txt"],
            ["1.png"],
            " in the first folder, got none; name the folder that holds them.",
        ),
    ],
)
def test_folders_that_cannot_be_paired_are_told(visitor, first, second, sentence):
    answer = visitor.client.post("/api/pairs", json={"folders": [first, second]})
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"weights": "none"}, "expected weights among mean,"),
        ({"align": "stretch"}, "expected align to be one of none"),
        ({"levels": "9:1"}, "expected a range rule"),
        ({"max_pixels": "0"}, "expected at most 89478485 pixels"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(visitor, fields, sentence):
    files = [("sources", ("a.png", encoded(GREY)))] * 2
    answer = visitor.post("/api/fuse", files, **{"weights": "mean", **fields})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


def test_a_single_picture_is_not_fused(visitor):
    job = visitor.run(
        "/api/fuse", [("sources", ("a.png", encoded(GREY)))], weights="mean"
    )
    assert job["error"] == "expected two pictures or more, got 1; add another."


def test_a_waiting_job_is_cancelled_and_leaves_nothing(visitor):
    gate = threading.Event()
    jobs = visitor.jobs
    first = jobs.submit(jobs.make("wait"), lambda job: {"x": gate.wait(5)})
    second = jobs.submit(jobs.make("wait"), lambda job: pytest.fail("it ran"))
    told = visitor.client.get(f"/api/jobs/{second.id}").json()
    assert (told["state"], told["before"]) == ("queued", 1)
    visitor.client.delete(f"/api/jobs/{second.id}")
    gate.set()
    assert visitor.wait(first.id)["result"] == {"x": True}
    assert visitor.wait(second.id)["state"] == "cancelled"
    visitor.fuse()  # by now the worker has left the second behind
    assert not second.folder.exists()


def test_a_running_job_ends_at_its_next_phase(visitor):
    began, gate = threading.Event(), threading.Event()

    def work(job):
        began.set()
        gate.wait(5)
        job.enter("second")
        raise AssertionError

    jobs = visitor.jobs
    job = jobs.submit(jobs.make("wait"), work)
    assert began.wait(20)
    assert visitor.client.get(f"/api/jobs/{job.id}").json()["state"] == "running"
    visitor.client.delete(f"/api/jobs/{job.id}")
    gate.set()
    assert visitor.wait(job.id)["state"] == "cancelled"


def test_the_example_is_a_pair_whose_look_is_known(visitor):
    files = []
    for name in ("infrared.png", "visible.png"):
        answer = visitor.client.get(f"/api/example/{name}")
        assert answer.headers["content-type"] == "image/png"
        files.append(("sources", (f"{len(files)}.png", answer.content)))
    guess = visitor.run("/api/guess", files)["result"]
    assert guess["weights"] == "ivif"
    assert guess["is_reversed"] is False
    assert visitor.client.get("/api/example/passwd").status_code == 404


def test_every_route_is_described(visitor):
    told = visitor.client.get("/api/openapi.json").json()
    described = {
        (path, method.upper())
        for path, methods in told["paths"].items()
        for method in methods
    }
    served = {
        (route.path, method)
        for route in visitor.client.app.routes
        for method in route.methods - {"HEAD"}
        if route.path.startswith("/api/")
    }
    assert described == served
    form = told["paths"]["/api/fuse"]["post"]["requestBody"]["content"]
    fields = form["multipart/form-data"]["schema"]["properties"]
    assert fields["align"]["enum"] == list(ALIGNMENTS)


def test_cameras_tell_exposure_and_distance_and_deep_grey_its_levels(visitor):
    exif = Image.Exif()
    exif[0x8769] = {33434: 0.5, 34855: 400, 33437: 2.0, 37382: 1.25}
    photograph = encoded(scene()[1], "JPEG", exif=exif)
    deep = encoded(np.repeat(np.arange(640, dtype=np.uint16), 2).reshape(32, 40))
    files = [("sources", ("a.jpg", photograph)), ("sources", ("b.png", deep))]
    first, second = visitor.run("/api/pictures", files)["result"]["pictures"]
    assert first["exposure"] == 0.5 * 400 / 100 / 2.0**2
    assert first["distance"] == 1.25
    assert first["histogram"] is None
    assert second["exposure"] is None
    assert second["histogram"] == [20] * 64


def test_a_stack_tells_each_of_its_fusions(visitor, models, monkeypatch):
    heard = []
    enter = Job.enter
    monkeypatch.setattr(
        Job, "enter", lambda job, phase: (heard.append(phase), enter(job, phase))
    )
    picture = encoded(scene()[0])
    files = [("sources", (f"{i}.png", picture)) for i in range(3)]
    assert visitor.run("/api/fuse", files, weights="mean")["state"] == "done"
    steps = [phase.rpartition("fusing")[2] for phase in heard if "fusing" in phase]
    assert steps == [", 1 of 2", ", 2 of 2"]
