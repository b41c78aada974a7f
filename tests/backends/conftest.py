from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer


@pytest.fixture(scope="module")
def shared_server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def server(shared_server: HTTPServer) -> Iterator[HTTPServer]:
    """A server without handlers; what went wrong in one is raised at the end."""
    shared_server.clear()
    yield shared_server
    shared_server.check()
