import asyncio
import errno
import io
import json
import os
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from web.visitors import LOCAL, encoded, scene

from refusion_jax.web import jobs as jobs_module
from refusion_jax.web import uploads as uploads_module
from refusion_jax.web.guard import COOKIE

GREY, COLOUR = scene()
PAIR = [("sources", (f"{i}.png", encoded(x))) for i, x in enumerate((GREY, COLOUR))]
EVERY_POST = ("fuse", "metrics", "maps", "pictures", "guess", "pairs", "pack")


def files_of(visitor):
    return sorted(path.name for path in visitor.jobs.folder.rglob("*"))


def ask_raw(app, headers, chunks, path="/api/fuse"):
    """Speaks to the application without a client that mends what is sent.

    Returns the status, the answer, and how many of the chunks were taken.
    """
    taken, answers = [], []

    async def receive():
        taken.append(1)
        body = next(chunks, None)
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "root_path": "", "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return answers[0]["status"], json.loads(answers[1]["body"]), len(taken)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "192.168.0.7:7860",
        "",
        "127.0.0.1@evil",
    ],
)
def test_a_foreign_host_reads_nothing(visitor, host):
    for path in ("/", "/api/weights", "/assets/app.js"):
        answer = visitor.client.get(path, headers={"host": host})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("expected the address of this machine")


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:1", "[::1]:7860"])
def test_names_of_this_machine_pass(visitor, host):
    assert visitor.client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["myhost.local:7860", "MyHost.local"])
def test_capitals_in_a_name_make_no_difference(server, host):
    visitor = server(names=("MyHost.local",))
    assert visitor.client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", EVERY_POST)
def test_other_sites_change_nothing(visitor, headers, path):
    answer = visitor.client.post(f"/api/{path}", files=PAIR, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"].startswith("expected a request of this page")
    assert not files_of(visitor)


def test_other_sites_cancel_nothing(visitor):
    job = visitor.fuse()
    address = f"/api/jobs/{job['id']}"
    headers = {"origin": "https://evil.example"}
    assert visitor.client.delete(address, headers=headers).status_code == 403
    assert visitor.client.get(address).status_code == 200
    assert visitor.client.delete(address, headers={"origin": LOCAL}).status_code == 200
    assert visitor.client.get(address).status_code == 404
    assert not files_of(visitor)


def test_every_answer_forbids_what_the_page_does_not_need(visitor):
    for path in ("/", "/api/weights", "/none", "/api/jobs/none"):
        headers = visitor.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_where_others_can_connect_a_token_is_needed(server):
    visitor = server(names=("0.0.0.0",), token="secret", base="http://10.0.0.5:7860")
    get = visitor.client.get
    assert get("/api/weights").status_code == 401
    assert get("/?token=wrong").status_code == 401
    assert get("/api/weights?token=secret").status_code == 401  # in no other address
    assert get("/api/weights", headers={"host": "evil.example"}).status_code == 400
    bearer = {"authorization": "Bearer secret"}
    assert get("/api/weights", headers=bearer).status_code == 200
    first = get("/?token=secret", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    assert visitor.client.cookies[COOKIE] == "secret"
    assert get("/").status_code == 200


def test_a_cookie_of_another_application_hides_no_token(server):
    visitor = server(names=("0.0.0.0",), token="secret", base="http://10.0.0.5:7860")
    for cookie, status in (
        (f'prefs={{"theme":"dark"}}; {COOKIE}=secret', 200),
        (f'{COOKIE}=secret; a=b=c, "; é', 200),
        (f'prefs={{"theme":"dark"}}; {COOKIE}=wrong', 401),
        ('prefs={"theme":"dark"}', 401),
        (f"{COOKIE}=\udc80", 401),
    ):
        headers = {"cookie": cookie.encode("utf-8", "surrogateescape")}
        assert visitor.client.get("/", headers=headers).status_code == status


def test_an_announced_flood_is_refused_unread(server):
    visitor = server(request_bytes=10_000)
    headers = {
        "host": "127.0.0.1", "content-length": str(2 << 30),
        "content-type": "multipart/form-data; boundary=x",
    }  # fmt: skip
    status, told, taken = ask_raw(
        visitor.client.app, headers, iter([b"x" * 1000] * 100)
    )
    assert (status, taken) == (413, 0)
    assert told["error"].startswith("expected at most 9.8 KiB at once, got 2147483648")


@pytest.mark.parametrize("announced", [None, "500"])
def test_a_flood_that_is_not_announced_is_cut(server, announced):
    visitor = server(request_bytes=10_000)
    head = (
        b'--x\r\nContent-Disposition: form-data; name="sources"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n"
    )
    headers = {"host": "127.0.0.1", "content-type": "multipart/form-data; boundary=x"}
    if announced:
        headers["content-length"] = announced
    chunks = iter([head, *([b"x" * 1000] * 1000)])
    status, told, taken = ask_raw(visitor.client.app, headers, chunks)
    assert status == 413 and taken <= 12
    assert "got more than 10" in told["error"]
    assert not files_of(visitor)
    assert visitor.fuse()["state"] == "done"  # its place in the queue is free again


def test_too_many_pictures_at_once_are_refused(server):
    visitor = server(pictures=2)
    answer = visitor.post("/api/pictures", [PAIR[0]] * 3)
    assert answer.status_code == 413
    assert answer.json()["error"] == (
        "expected at most 2 pictures at once, got more; send fewer."
    )
    assert not files_of(visitor)
    assert visitor.fuse()["state"] == "done"


def test_an_upload_that_breaks_off_leaves_nothing(visitor):
    headers = {"host": "127.0.0.1", "content-type": "multipart/form-data; boundary=x"}
    head = (
        b'--x\r\nContent-Disposition: form-data; name="sources"; filename="a"\r\n\r\n'
    )
    status, told, _ = ask_raw(visitor.client.app, headers, iter([head, b"abc"]))
    assert status == 400 and told["error"].startswith("expected a complete upload")
    assert not files_of(visitor)


def test_an_upload_that_stalls_loses_its_place(server):
    visitor = server(upload_seconds=0.05)
    messages = []

    async def receive():
        await asyncio.sleep(30)

    async def send(message):
        messages.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/pictures", "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"multipart/form-data; boundary=x"),
        ],
        "root_path": "", "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(visitor.client.app(scope, receive, send))
    assert messages[0]["status"] == 408
    assert not files_of(visitor)


def bomb(side):
    """A PNG that announces many pixels in few bytes."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    )


# Slightly above the limit, above twice the limit, and above Pillow's own.
@pytest.mark.parametrize("side", [1100, 2000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(server, side):
    visitor = server(pixels=1_000_000)
    files = [("sources", ("bomb.png", bomb(side))), PAIR[0]]
    for path in ("/api/fuse", "/api/pictures"):
        job = visitor.run(path, files, weights="mean")
        assert job["state"] == "failed"
        assert job["error"].startswith(
            "expected a picture of moderate size, got bomb.png"
        )
        assert str(visitor.jobs.folder) not in job["error"]
    assert not files_of(visitor)


@pytest.mark.parametrize("path", ["/api/fuse", "/api/maps", "/api/guess"])
@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (3, "expected at most 3000 pixels in all pictures, got 3840; send fewer or"),
        (257, "expected at most 256 pictures, got 257; send fewer."),
    ],
)
def test_a_picture_that_is_named_often_is_refused_unread(server, path, times, sentence):
    visitor = server(pictures=2, pixels=1500)
    sent = visitor.run("/api/pictures", PAIR[:1])["result"]["pictures"][0]
    picture = [sent["picture"]]
    answer = visitor.post(path, picture=picture * times, weights="mean")
    assert answer.status_code == 413
    assert answer.json()["error"].startswith(sentence)
    job = visitor.run("/api/fuse", picture=picture * 2, weights="mean")
    assert job["state"] == "done"


def test_a_visitor_can_lower_the_limit_but_not_raise_it(server):
    visitor = server(pixels=2000)
    low = visitor.fuse(max_pixels="1000")
    assert low["error"].startswith("expected a picture of moderate size, got 0.png")
    assert visitor.fuse()["state"] == "done"
    answer = visitor.post("/api/fuse", PAIR, weights="mean", max_pixels="99999")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "name",
    ["../../../escaped.png", "/etc/passwd", "..\\..\\escaped.png", "a\0b.png", "x"],
)
def test_paths_in_file_names_lead_nowhere(visitor, name, tmp_path):
    before = set(visitor.jobs.folder.parent.glob("escaped*"))
    broken = [("sources", (name, b"no picture")), PAIR[0]]
    job = visitor.run("/api/pictures", broken)
    assert job["state"] == "failed"
    assert "/" not in job["error"].partition("(")[0]
    sent = visitor.run("/api/pictures", [("sources", (name, encoded(GREY)))])
    shown = sent["result"]["pictures"][0]["name"]
    assert shown and not {"/", "\\", "\0"} & set(shown)
    made = {path.name for path in visitor.jobs.folder.rglob("*") if path.is_file()}
    assert made == {"upload0", "thumb0.png"}
    assert set(visitor.jobs.folder.parent.glob("escaped*")) == before


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "upload0", "fused.png%00.txt"]
)
def test_only_named_results_are_handed_out(visitor, name):
    job = visitor.fuse()
    answer = visitor.client.get(f"/api/jobs/{job['id']}/files/{name}")
    assert answer.status_code == 404
    assert visitor.client.get(f"/assets/{name}").status_code == 404


def test_fifty_at_once_are_queued_or_refused_in_a_sentence(server):
    visitor = server(waiting=5)
    gate = threading.Event()
    jobs = visitor.jobs
    busy = jobs.submit(jobs.make("wait"), lambda job: {"x": gate.wait(20)})

    def ask(_):
        return visitor.post("/api/fuse", PAIR, weights="mean")

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    taken = [x.json()["id"] for x in answers if x.status_code == 202]
    refused = [x.json()["error"] for x in answers if x.status_code == 503]
    assert len(taken) + len(refused) == 50 and len(taken) == 4
    assert set(refused) == {
        "expected at most 5 jobs at once, got one more; try again when one of them is "
        "done."
    }
    gate.set()
    assert all(visitor.wait(job)["state"] == "done" for job in [busy.id, *taken])
    for job in [busy.id, *taken]:
        visitor.client.delete(f"/api/jobs/{job}")
    assert not files_of(visitor)


def test_old_results_make_room(server):
    visitor = server(kept_jobs=3)
    jobs = [visitor.fuse()["id"] for _ in range(5)]
    status = [visitor.client.get(f"/api/jobs/{job}").status_code for job in jobs]
    assert status == [404, 404, 200, 200, 200]
    folders = [path for path in visitor.jobs.folder.iterdir() if path.is_dir()]
    assert len(folders) == 3


def test_many_bytes_make_room(server):
    visitor = server(kept_bytes=1)
    first, second = visitor.fuse(), visitor.fuse()
    assert visitor.client.get(f"/api/jobs/{first['id']}").status_code == 404
    assert visitor.client.get(f"/api/jobs/{second['id']}").status_code == 200


def test_what_is_long_unused_is_forgotten(server, monkeypatch):
    visitor = server(kept_seconds=60)
    unused, used = visitor.fuse(), visitor.fuse()
    later = time.monotonic() + 59
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: later)
    assert visitor.file(used, "fused.png")  # its minute begins again
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: later + 59)
    visitor.fuse()
    for job, status in ((unused, 404), (used, 200)):
        assert visitor.client.get(f"/api/jobs/{job['id']}").status_code == status


def test_jobs_know_their_bytes_so_that_queueing_walks_no_other_folder(
    visitor, monkeypatch
):
    walked = []
    measure = jobs_module._bytes_of
    monkeypatch.setattr(
        jobs_module, "_bytes_of", lambda x: (walked.append(x), measure(x))[1]
    )

    def write(job):
        (job.folder / "made").write_bytes(bytes(700))
        return {}

    def fail(job):
        raise ValueError("no.")

    jobs = visitor.jobs
    for work, size in ((write, 1000), (fail, 0), (write, 1000)):
        job = jobs.make("any")
        (job.folder / "upload").write_bytes(bytes(300))
        walked.clear()
        jobs.submit(job, work)
        visitor.wait(job.id)
        assert job.size == size
        assert set(walked) == {job.folder}


def test_files_go_when_the_server_stops(server):
    visitor = server()
    visitor.fuse()
    folder = visitor.jobs.folder
    assert folder.exists()
    visitor.jobs.close()
    assert not folder.exists()


def test_a_full_disk_is_told_in_a_sentence(visitor, monkeypatch):
    def copy(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target.name)

    monkeypatch.setattr(uploads_module.shutil, "copyfileobj", copy)
    answer = visitor.post("/api/fuse", PAIR, weights="mean")
    assert answer.status_code == 507
    assert answer.json()["error"] == (
        "expected room for files in the temporary folder of refusion serve, got 'No "
        "space left on device'; free some, or start it again."
    )
    assert not files_of(visitor)
    monkeypatch.undo()
    assert visitor.fuse()["state"] == "done"  # its place in the queue is free again


def test_a_temporary_folder_that_is_gone_is_told(visitor):
    visitor.jobs.folder.rmdir()
    answer = visitor.post("/api/fuse", PAIR, weights="mean")
    assert answer.status_code == 507
    assert "got 'No such file or directory'" in answer.json()["error"]
    assert str(visitor.jobs.folder) not in answer.text
    visitor.jobs.folder.mkdir()


@pytest.mark.parametrize("content", ["[" * (1 << 20), "[", "[]", "\udcff"])
def test_names_that_are_no_json_object_are_told(visitor, content):
    body = content.encode(errors="surrogateescape")
    answer = visitor.client.post("/api/pairs", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == ("expected a JSON object; correct the request.")


def test_what_nobody_foresaw_is_a_sentence_too(visitor, caplog):
    jobs = visitor.jobs
    job = jobs.submit(jobs.make("odd"), lambda job: {}["absent"])
    told = visitor.wait(job.id)
    assert told["error"].startswith(
        "expected pictures that can be fused, got an internal error (KeyError)"
    )
    assert "absent" not in told["error"] and "Traceback" in caplog.text
    assert io.StringIO(caplog.text).readline()
