"""A server with a model that costs nothing, and one who visits it."""

import pytest
from starlette.testclient import TestClient
from web.visitors import LOCAL, Mapless, Mean, Visitor

from refusion_jax.web.app import make_app
from refusion_jax.web.limits import Limits
from refusion_jax.web.models import Models


@pytest.fixture(scope="session")
def models():
    return Models(more={"mean": Mean(), "mapless": Mapless()})


@pytest.fixture
def server(models):
    """Makes servers with limits of their own; each is stopped at the end."""
    open_clients = []

    def start(names=None, token="", base=LOCAL, **limits):
        more = {} if names is None else {"names": names}
        app = make_app(models, Limits(**limits), token=token, **more)
        client = TestClient(app, base_url=base, raise_server_exceptions=False)
        open_clients.append(client.__enter__())
        return Visitor(client)

    yield start
    for client in open_clients:
        client.__exit__(None, None, None)


@pytest.fixture
def visitor(server):
    return server()
