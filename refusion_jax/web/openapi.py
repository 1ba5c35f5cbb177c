"""What programs can ask for, as a description that tools read: OpenAPI 3.1."""

from typing import Any

from refusion_jax.extras import version_of
from refusion_jax.metrics import METRICS
from refusion_jax.web.options import describe_rules
from refusion_jax.web.work import FORMATS

_TEXT: dict[str, Any] = {"type": "string"}
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "of a job",
    "schema": _TEXT,
}
_NAME = {"name": "name", "in": "path", "required": True, "schema": _TEXT}


def describe_api() -> dict[str, Any]:
    """Returns the description as JSON values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "refusion serve",
            "version": version_of() or "unknown",
            "description": "Image fusion on this machine. What takes time is a job: "
            "ask for it until its state is done, failed or cancelled.",
        },
        "paths": {
            "/api/weights": {"get": _get("Lists weights, rules and limits.")},
            "/api/example/{name}": {
                "get": _get("Returns a drawn picture, infrared.png or visible.png.")
                | {"parameters": [_NAME]}
            },
            "/api/openapi.json": {"get": _get("Returns this description.")},
            "/api/pictures": {
                "post": _post("Keeps and describes pictures.", sources=_many(_FILE))
            },
            "/api/guess": {
                "post": _post("Guesses the weights and the order.", **_sources())
            },
            "/api/fuse": {
                "post": _post("Fuses two pictures or more.", **_sources(), **_rules())
            },
            "/api/maps": {
                "post": _post(
                    "Computes the loss maps of a pair.",
                    job=_TEXT | {"description": "a fusion, in place of the rest"},
                    **_sources(),
                    **_rules(),
                )
            },
            "/api/metrics": {
                "post": _post(
                    "Scores a fusion, or a fused picture that is sent.",
                    job=_TEXT | {"description": "a fusion, in place of files"},
                    a=_FILE,
                    b=_FILE,
                    fused=_FILE,
                    metrics=_TEXT
                    | {"description": f"with commas, among {', '.join(METRICS)}"},
                )
            },
            "/api/pack": {
                "post": _post(
                    "Packs fusions as a ZIP.",
                    job=_many(_TEXT | {"description": "fusions"}),
                    name=_many(_TEXT | {"description": "a folder for each"}),
                    fusions=_many(
                        _TEXT
                        | {
                            "description": "in place of these two, JSON of at most "
                            '64 KiB each: [["ID", "folder"], ...]; what has expired '
                            "is left out and told in missing"
                        }
                    ),
                    maps=_many(_TEXT | {"description": "jobs of maps"}),
                )
            },
            "/api/pairs": {
                "post": _answers("Pairs the names of two folders.", "200")
                | {"requestBody": {"required": True, "content": _json(_folders())}}
            },
            "/api/jobs/{id}": {
                "get": _get("Tells how far a job is.", _job()) | {"parameters": [_ID]},
                "delete": _get("Cancels a job, or removes a finished one.", _job())
                | {"parameters": [_ID]},
            },
            "/api/jobs/{id}/files/{name}": {
                "get": _get("Returns a file of a job.") | {"parameters": [_ID, _NAME]}
            },
            "/api/jobs/{id}/convert": {
                "post": _post(
                    "Writes a fusion in another format.",
                    format=_TEXT | {"enum": list(FORMATS)},
                )
                | {"parameters": [_ID]}
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
        },
    }


def _get(summary: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return _answers(summary, "200", schema)


def _post(summary: str, **fields: dict[str, Any]) -> dict[str, Any]:
    form = {"schema": {"type": "object", "properties": fields}}
    body = {"required": True, "content": {"multipart/form-data": form}}
    return _answers(summary, "202", _job()) | {"requestBody": body}


def _answers(
    summary: str, status: str, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    good: dict[str, Any] = {"description": summary}
    if schema:
        good["content"] = _json(schema)
    error = {"type": "object", "properties": {"error": _TEXT}}
    bad = {"description": "a sentence", "content": _json(error)}
    return {"summary": summary, "responses": {status: good, "default": bad}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _job() -> dict[str, Any]:
    states = ["queued", "running", "done", "failed", "cancelled"]
    return {
        "type": "object",
        "properties": {
            **dict.fromkeys(("id", "kind", "phase", "error"), _TEXT),
            "state": _TEXT | {"enum": states},
            "before": {"type": "integer", "description": "jobs in the queue before it"},
            "notes": _many(_TEXT),
            "files": _many(_TEXT),
            "result": {"type": "object"},
        },
    }


def _sources() -> dict[str, Any]:
    sent = _TEXT | {"description": "ID.NUMBER of pictures sent before, in order"}
    return {"sources": _many(_FILE), "picture": _many(sent)}


def _rules() -> dict[str, Any]:
    """Describes the options of a run: those that `read_options` reads."""
    rules: dict[str, Any] = {
        rule["name"]: _TEXT
        | {"description": rule["help"]}
        | ({"enum": rule["choices"]} if rule["choices"] else {})
        for rule in describe_rules()
    }
    weights = _TEXT | {"description": "the name of one of /api/weights"}
    return {"weights": weights, **rules, "max_pixels": {"type": "integer"}}


def _folders() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["folders"],
        "properties": {"folders": _many(_many(_TEXT)), "rule": _TEXT},
    }
