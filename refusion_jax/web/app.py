"""The application: routes behind the guard, errors as sentences."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from refusion_jax.web.guard import LOCAL_NAMES, Guard
from refusion_jax.web.jobs import Jobs
from refusion_jax.web.limits import Limits, Refusal
from refusion_jax.web.models import Models
from refusion_jax.web.routes import Routes

LOG = logging.getLogger(__name__)


def make_app(
    models: Models,
    limits: Limits | None = None,
    *,
    names: Sequence[str] = LOCAL_NAMES,
    token: str = "",
) -> Starlette:
    """Makes the application; its temporary folder goes when the server stops.

    Args:
      models: the weights.
      limits: see `Limits`; None for its defaults.
      names, token: see `guard.Guard`.
    """
    jobs = Jobs(limits or Limits())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            jobs.close()

    app = Starlette(
        routes=Routes(jobs, models).all(),
        middleware=[Middleware(Guard, names=names, token=token)],
        exception_handlers={
            Refusal: _refused,
            ValueError: _wrong,
            OSError: _not_kept,
            HTTPException: _http_error,
        },
        lifespan=lifespan,
    )
    app.state.jobs = jobs
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": error.sentence}, error.status)


async def _wrong(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _not_kept(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    LOG.error("A request could not be kept.", exc_info=error)
    # Without the path, which is none of the visitor's.
    text = (
        "expected room for files in the temporary folder of refusion serve, got "
        f"{error.strerror or type(error).__name__!r}; free some, or start it again."
    )
    return JSONResponse({"error": text}, 507)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"expected an address of this server, got {request.url.path[:80]!r}."
    if error.status_code == 405:
        text = f"expected another method than {request.method} for this address."
    return JSONResponse({"error": text}, error.status_code, error.headers)
