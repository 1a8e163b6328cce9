"""A real Elasticsearch of each version, started when the first test asks for it, apart from the user's own.

Tests start many processes, and half of such a start is compiling what is imported: torch takes 3.4 s with it, and 1.7 s
without. Where Python is told to keep no bytecode, and installers left none, it is kept in a folder of the tests' own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.embedded import Server, down, up
from es_reasonrank.elastic.embedded.releases import DEFAULTS
from es_reasonrank.errors import MissingError
from es_reasonrank.settings import ElasticSettings
from tests.here import Here

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / "build" / "bytecode")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What does not depend on the server's version runs on the preferred one only."""
    kept, left = [], []
    for item in items:
        parameters = getattr(item, "callspec", None)
        version = parameters.params.get("server") if parameters is not None else None
        once = item.get_closest_marker("one_version") is not None and version in DEFAULTS[1:]
        (left if once else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """Types `es-reasonrank` in this process."""
    return Here(monkeypatch, capfd)


@pytest.fixture(scope="session", params=DEFAULTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server. Tests with one version run together, so that one server at a time is enough."""
    folder = tmp_path_factory.mktemp("elasticsearch")
    try:
        yield up(version=request.param, data_dir=folder)
    except MissingError as error:
        pytest.skip(str(error))
    finally:
        down(folder)


@pytest.fixture(scope="session")
def elastic_url(server: Server) -> str:
    """The server's address."""
    return server.url


@pytest.fixture(scope="session")
async def es(elastic_url: str) -> AsyncIterator[AsyncElasticsearch]:
    """A client of the server."""
    async with connected(ElasticSettings(url=elastic_url)) as client:
        yield client


@pytest.fixture
async def index_name(es: AsyncElasticsearch) -> AsyncIterator[str]:
    """A name that no index has; what the test puts under it is deleted afterwards."""
    name = f"test-{uuid4().hex}"
    yield name
    await es.indices.delete(index=name, ignore_unavailable=True)
