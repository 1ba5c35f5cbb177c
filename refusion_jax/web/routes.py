"""What the page and programs can ask for, and the answers."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from refusion_jax.data.pairs import by_stem
from refusion_jax.files.pairing import matched
from refusion_jax.metrics import METRICS
from refusion_jax.reporting.page import asset
from refusion_jax.web import work
from refusion_jax.web.example import example
from refusion_jax.web.jobs import FINISHED, Job, Jobs, Upload, Work
from refusion_jax.web.limits import Refusal
from refusion_jax.web.models import Models
from refusion_jax.web.openapi import describe_api
from refusion_jax.web.options import describe_rules, read_options
from refusion_jax.web.uploads import Form, check_length, read_form

PAGE = Path(__file__).parent / "page"
# Of all pages that this package makes, served here as they stand in reports.
SHARED = ("page.css", "viewer.css", "viewer.js")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_JSON_BYTES = 1 << 20


class Routes:
    """The answers of one server."""

    def __init__(self, jobs: Jobs, models: Models) -> None:
        """Reads the page's files.

        Args:
          jobs: the queue.
          models: the weights.
        """
        self._jobs, self._models = jobs, models
        own = {path.name: path.read_text("utf-8") for path in PAGE.iterdir()}
        self._files = own | {name: asset(name) for name in SHARED}
        self._example = example()

    def all(self) -> list[Route]:
        """Lists the routes."""
        post, get = ["POST"], ["GET"]
        return [
            Route("/", self._page, methods=get),
            Route("/assets/{name}", self._asset, methods=get),
            Route("/api/example/{name}", self._drawn, methods=get),
            Route("/api/openapi.json", self._description, methods=get),
            Route("/api/weights", self._weights, methods=get),
            Route("/api/pairs", self._pairs, methods=post),
            Route("/api/pictures", self._pictures, methods=post),
            Route("/api/guess", self._guess, methods=post),
            Route("/api/fuse", self._fuse, methods=post),
            Route("/api/metrics", self._metrics, methods=post),
            Route("/api/maps", self._maps, methods=post),
            Route("/api/pack", self._pack, methods=post),
            Route("/api/jobs/{id}", self._job, methods=get),
            Route("/api/jobs/{id}", self._cancel, methods=["DELETE"]),
            Route("/api/jobs/{id}/files/{name}", self._file, methods=get),
            Route("/api/jobs/{id}/convert", self._convert, methods=post),
        ]

    async def _page(self, request: Request) -> Response:
        return Response(self._files["index.html"], media_type=TYPES[".html"])

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise Refusal(404, f"expected a file of the page, got {name[:40]!r}.")
        return Response(self._files[name], media_type=TYPES[Path(name).suffix])

    async def _drawn(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._example:
            raise Refusal(404, f"expected a file of the example, got {name[:40]!r}.")
        return Response(self._example[name], media_type="image/png")

    async def _description(self, request: Request) -> Response:
        return JSONResponse(describe_api(), media_type="application/json")

    async def _weights(self, request: Request) -> Response:
        offers = await run_in_threadpool(self._models.listing)
        limits = self._jobs.limits
        return JSONResponse(
            {
                "weights": offers,
                "preferred": self._models.preferred,
                "rules": describe_rules(),
                "limits": {
                    "request_bytes": limits.request_bytes,
                    "pixels": limits.pixels,
                    "pictures": limits.pictures,
                },
            }
        )

    async def _pairs(self, request: Request) -> Response:
        """Pairs the names of two folders; nothing is read."""
        given = await _json(request, self._jobs)
        folders = given.get("folders")
        if not isinstance(folders, list) or not _are_names(folders):
            raise Refusal(400, "expected two lists of file names; send both folders.")
        homes = [Path("the first folder"), Path("the second folder")]
        tables = [
            by_stem([home / Path(name).name for name in names], home)
            for home, names in zip(homes, folders, strict=True)
        ]
        found = matched(tables, str(given.get("rule", "name")))
        first, second = found.tables
        both = [stem for stem in first if stem in second]
        return JSONResponse(
            {
                "pairs": [[s, first[s].name, second[s].name] for s in both],
                "alone": sorted({*first, *second} - set(both)),
                "remark": found.remark or found.hint,
            }
        )

    async def _pictures(self, request: Request) -> Response:
        return await self._with_form(request, "pictures", self._looked_at)

    def _looked_at(self, job: Job, form: Form) -> Work:
        job.uploads = form.uploads.get("sources", [])
        if not job.uploads:
            raise Refusal(400, "expected files named sources, got none; add some.")
        return work.inspect

    async def _guess(self, request: Request) -> Response:
        return await self._with_form(
            request, "guess", lambda job, form: work.guess(self._sources(job, form))
        )

    async def _fuse(self, request: Request) -> Response:
        def prepare(job: Job, form: Form) -> Work:
            options = read_options(form, self._models, self._jobs.limits.pixels)
            return work.fuse(self._models, self._sources(job, form), options)

        return await self._with_form(request, "fuse", prepare)

    async def _metrics(self, request: Request) -> Response:
        def prepare(job: Job, form: Form) -> Work:
            keys = [x for x in form.field("metrics").split(",") if x] or None
            unknown = [x for x in keys or () if x not in METRICS]
            if unknown:
                raise Refusal(
                    400,
                    f"expected metrics among {', '.join(METRICS)}, got "
                    f"{unknown[0][:40]!r}; choose some of these.",
                )
            if form.field("job"):
                return work.score(self._fusion(job, form.field("job")), keys)
            parts = [form.uploads.get(x, []) for x in ("a", "b", "fused")]
            job.uploads = [x for part in parts for x in part[:1]]
            if len(job.uploads) != 3:
                raise Refusal(
                    400, "expected files a, b and fused, or a job; send all three."
                )
            return work.score_files(job.uploads, keys)

        return await self._with_form(request, "metrics", prepare)

    async def _maps(self, request: Request) -> Response:
        def prepare(job: Job, form: Form) -> Work:
            if form.field("job"):
                kept: work.Fused = self._fusion(job, form.field("job")).kept
                return work.explain(self._models, kept.uploads, kept.options)
            options = read_options(form, self._models, self._jobs.limits.pixels)
            return work.explain(self._models, self._sources(job, form), options)

        return await self._with_form(request, "maps", prepare)

    async def _pack(self, request: Request) -> Response:
        def prepare(job: Job, form: Form) -> Work:
            listed = _listed(form.fields.get("fusions", []))
            asked = form.fields.get("job", [])
            if not (listed or asked):
                raise Refusal(400, "expected jobs to pack, got none; fuse first.")
            # Of a batch, what has expired is left out and told; see `work.pack`.
            left = [row for row in listed if self._jobs.has(row[0])]
            missing = [x for x, _ in listed if not self._jobs.has(x)]
            fusions = [self._fusion(job, x) for x in (*asked, *(x for x, _ in left))]
            maps = [self._jobs.get(x, ["maps"]) for x in form.fields.get("maps", [])]
            _check_maps(fusions, maps)
            job.needs += maps
            given = form.fields.get("name", [])
            names = _folder_names([*given, *(name for _, name in left)])
            count = len(fusions)
            if (
                len({x.id for x in fusions}) != count
                or len(set(given)) != len(given)
                or ((names or count > 1) and len(names) != count)
            ):
                raise Refusal(
                    400,
                    "expected a name of its own for each picture, and each picture "
                    "once; correct the list.",
                )
            return work.pack(fusions, names, maps, missing)

        return await self._with_form(request, "pack", prepare)

    async def _convert(self, request: Request) -> Response:
        def prepare(job: Job, form: Form) -> Work:
            name = form.field("format")
            if name not in work.FORMATS:
                raise Refusal(
                    400,
                    f"expected a format among {', '.join(work.FORMATS)}, got "
                    f"{name[:20]!r}; choose one of these.",
                )
            return work.convert(self._fusion(job, request.path_params["id"]), name)

        return await self._with_form(request, "convert", prepare)

    async def _job(self, request: Request) -> Response:
        return JSONResponse(self._told(self._jobs.get(request.path_params["id"])))

    async def _cancel(self, request: Request) -> Response:
        job = self._jobs.get(request.path_params["id"])
        self._jobs.cancel(job)
        return JSONResponse(self._told(job))

    async def _file(self, request: Request) -> Response:
        job = self._jobs.get(request.path_params["id"])
        name = request.path_params["name"]
        path = job.files.get(name)  # looked up, never made of what was asked for
        if path is None or not path.exists():
            raise Refusal(404, f"expected a file of this job, got {name[:40]!r}.")
        is_download = "download" in request.query_params
        return FileResponse(path, filename=name if is_download else None)

    async def _with_form(
        self, request: Request, kind: str, prepare: Callable[[Job, Form], Work]
    ) -> Response:
        """Reads a form while it holds a place in the queue, and queues its job."""
        check_length(request, self._jobs.limits)
        with self._jobs.place():
            job = self._jobs.make(kind)
            try:
                form = await read_form(request, job.folder, self._jobs.limits)
                self._jobs.submit(job, prepare(job, form))
            except BaseException:
                self._jobs.discard(job)
                raise
        return JSONResponse(self._told(job), 202)

    def _sources(self, job: Job, form: Form) -> list[Upload]:
        """Returns the sources of a form: pictures sent before, or with it."""
        names = form.fields.get("picture", [])
        if not names:
            job.uploads = form.uploads.get("sources", [])
            return job.uploads
        if len(names) > work.MOST_PAGES:
            raise Refusal(
                413,
                f"expected at most {work.MOST_PAGES} pictures, got {len(names)}; send "
                "fewer.",
            )
        found, pixels = [], 0
        for name in names:
            owner, _, place = name.partition(".")
            home = self._jobs.get(owner, ["pictures"])
            if home not in job.needs:
                job.needs.append(home)
            if home.state != "done" or not place.isdecimal():
                raise Refusal(400, "expected pictures that are read; wait a moment.")
            if int(place) >= len(home.uploads):
                raise Refusal(404, f"expected a picture, got {name[:40]!r}.")
            found.append(home.uploads[int(place)])
            facts = home.result["pictures"][int(place)]
            pixels += facts["width"] * facts["height"]
        # As much as one request of files may hold: a picture can be named many times.
        most = self._jobs.limits.pictures * self._jobs.limits.pixels
        if pixels > most:
            raise Refusal(
                413,
                f"expected at most {most} pixels in all pictures, got {pixels}; send "
                "fewer or smaller ones.",
            )
        return found

    def _fusion(self, job: Job, name: str) -> Job:
        fusion = self._jobs.get(name, ["fuse"])
        if fusion.state != "done":
            raise Refusal(409, "expected a fusion that is done; wait for its end.")
        job.needs += [fusion, *fusion.needs]
        return fusion

    def _told(self, job: Job) -> dict[str, Any]:
        told: dict[str, Any] = {"id": job.id, "kind": job.kind, "state": job.state}
        told |= {"phase": job.phase, "notes": job.notes}
        if job.state == "queued":
            told["before"] = self._jobs.position(job)
        if job.state in FINISHED:
            told["files"] = list(job.files)
        return told | {"result": job.result, "error": job.error}


async def _json(request: Request, jobs: Jobs) -> dict[str, Any]:
    check_length(request, jobs.limits)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _JSON_BYTES:
            raise Refusal(413, "expected at most 1 MiB of names; send fewer.")
    given = _parsed(body)
    if isinstance(given, dict):
        return given
    raise Refusal(400, "expected a JSON object; correct the request.")


def _parsed(text: str | bytes) -> Any:
    """Returns a value of JSON, or None if it is broken or nested too deeply."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _listed(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Reads the ids and the folders of a batch, which fields hold in parts."""
    found = []
    for text in texts:
        rows = _parsed(text)
        if not isinstance(rows, list) or not all(_is_row(x) for x in rows):
            raise Refusal(
                400,
                'expected fusions as JSON, [["ID", "folder"], ...], got something '
                "else; correct the field.",
            )
        found += [(name, folder) for name, folder in rows]
    return found


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, list) and len(row) == 2 and all(isinstance(x, str) for x in row)
    )


def _are_names(folders: list[Any]) -> bool:
    return len(folders) == 2 and all(
        isinstance(names, list) and all(isinstance(x, str) for x in names)
        for names in folders
    )


def _check_maps(fusions: Sequence[Job], maps: Sequence[Job]) -> None:
    """Refuses to pack maps with a picture that they do not explain."""
    if maps and (
        len(maps) != len(fusions)
        or any(x.state != "done" for x in maps)
        or any(x not in y.needs for x, y in zip(fusions, maps, strict=True))
    ):
        raise Refusal(
            400,
            "expected no maps, or those of each fusion in order and done, got others; "
            "send the jobs of /api/maps that name these fusions.",
        )


def _folder_names(names: Sequence[str]) -> list[str]:
    """Returns folders in a ZIP, numbered where their names come out the same."""
    found, counts = [], Counter[str]()
    for name in map(_folder_name, names):
        counts[name] += 1
        # No name has parentheses of its own, so a numbered one is free.
        found.append(f"{name} ({counts[name]})" if counts[name] > 1 else name)
    return found


def _folder_name(name: str) -> str:
    """Returns a name for a folder in a ZIP, which cannot lead out of it."""
    kept = "".join(x if x.isalnum() or x in "-_ ." else "_" for x in name[:80])
    return kept.strip(". ") or "picture"
