"""Clients that nobody here wrote do their work through the proxy, as they would without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.embedded import Server
from tests.service.conftest import Serve
from tests.service.servers.installed import node_client, node_packages, python_client, python_packages

ELASTICSEARCH_9 = "elasticsearch9[async]==9.5.1"
LANGCHAIN = "langchain-elasticsearch==1.0.0"
JAVASCRIPT = "@elastic/elasticsearch@9.5.1"


@pytest.fixture(scope="module")
async def proxied(serve: Serve) -> AsyncIterator[str]:
    async with serve() as url:
        yield url


@pytest.fixture
async def index(es: AsyncElasticsearch) -> AsyncIterator[str]:
    """A name that no index has; it and names that begin with it are deleted afterwards."""
    name = f"client-{uuid4().hex}"
    yield name
    await es.indices.delete(index=f"{name},{name}-async", ignore_unavailable=True)


def is_9(server: Server) -> bool:
    return server.version.startswith("9.")


@pytest.mark.parametrize("module", ["elasticsearch", "elasticsearch9"])
async def test_elasticsearch_py(server: Server, proxied: str, index: str, module: str) -> None:
    """Plain, asynchronous, and its DSL."""
    if module == "elasticsearch9" and not is_9(server):
        pytest.skip("a client 9 is refused by a server 8")
    packages = python_packages(ELASTICSEARCH_9) if module == "elasticsearch9" else None
    done = await python_client("elasticsearch_py.py", module, proxied, index, packages=packages)
    assert done["version"] == ("9" if module == "elasticsearch9" else "8")
    plain, later, dsl = done["plain"], done["async"], done["dsl"]
    assert plain["made"] == "created"
    assert plain["bulk"] == plain["scrolled"] == later["bulk"] == later["scrolled"] == 40
    assert dsl["scrolled"] == dsl["paged"] == 40
    assert len(plain["found"]) == 3
    assert plain["found"] == dsl["found"] == dsl["reranked"]
    assert later["same"] is True
    assert plain["many"] == [200, 404]
    assert plain["errors"] == [
        ["NotFoundError", 404, "index_not_found_exception"],
        ["BadRequestError", 400, "invalid_index_name_exception"],
    ]
    assert plain["exists"] == [True, False]
    for got in (plain, later):
        assert got["reranked"] == [got["found"], "ok"]


async def test_elasticsearch_js(server: Server, proxied: str, index: str) -> None:
    if not is_9(server):
        pytest.skip("a client 9 is refused by a server 8")
    done = await node_client("elasticsearch_js.mjs", proxied, index, packages=node_packages(JAVASCRIPT))
    assert done["bulk"] == done["scrolled"] == 40
    assert len(done["found"]) == 3
    assert done["many"] == [200, 404]
    assert done["error"] == ["ResponseError", 404, "index_not_found_exception"]
    assert done["exists"] == [True, False]
    assert done["reranked"] == [done["found"], "ok"]


async def test_langchains_retriever(es: AsyncElasticsearch, proxied: str, index: str) -> None:
    rows = [{"text": f"passage {number} on " + "sheep " * (1 + number % 7)} for number in range(40)]
    operations: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        operations += [{"index": {"_id": str(number)}}, row]
    await es.bulk(index=index, operations=operations, refresh=True)
    done = await python_client("langchain_retriever.py", proxied, index, packages=python_packages(LANGCHAIN))
    assert len(done["found"]) == 3
    assert done["reranked"] == done["found"]
