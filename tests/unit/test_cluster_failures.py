"""What a user reads when the cluster wants a login, is slow, is overloaded, or is no Elasticsearch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import ElasticError, ReasonRankError
from es_reasonrank.settings import ElasticSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}


def answers(status: int, kind: str, reason: str) -> Handler:
    """A handler that gives one error as Elasticsearch writes it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        error = {"type": kind, "reason": reason}
        return web.json_response(
            {"error": error | {"root_cause": [error]}, "status": status}, status=status, headers=PRODUCT
        )

    return handle


async def sleepy(request: web.Request) -> web.StreamResponse:
    """A server that takes longer than anyone waits."""
    await asyncio.sleep(5)
    return web.json_response({}, headers=PRODUCT)


async def stranger(request: web.Request) -> web.StreamResponse:
    """Some web page."""
    return web.Response(text="<html>It works!</html>", content_type="text/html")


CASES = {
    "login": (
        answers(401, "security_exception", "missing authentication credentials for REST request [/]"),
        "wants a login; set elastic.api_key, or elastic.username and elastic.password",
    ),
    "forbidden": (
        answers(403, "security_exception", "action [indices:data/read/search] is unauthorized"),
        r"forbids this to the login that is used, for index 'articles': action \[indices:data/read/search\]",
    ),
    "slow": (sleepy, "did not answer in time; it may be overloaded, or elastic.timeout too short"),
    "overloaded": (
        answers(429, "circuit_breaking_exception", "Data too large"),
        r"overloaded \(429\); try again later",
    ),
    "broken": (answers(500, "exception", "disk is on fire"), "answered 500: disk is on fire"),
    "stranger": (stranger, "the server at elastic.url is no Elasticsearch; check the address"),
}


async def search(settings: ElasticSettings) -> None:
    """One search, as every command does it."""
    async with connected(settings) as client:
        with mapped("articles"):
            await client.search(index="articles")


@pytest.mark.parametrize("case", CASES)
async def test_each_failure_is_one_sentence(case: str) -> None:
    """It says what happened and which setting mends it, and the exit code is the servers'."""
    handler, sentence = CASES[case]
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        settings = ElasticSettings(url=str(server.make_url("/")), timeout=0.3)
        with pytest.raises(ReasonRankError, match=sentence) as caught:
            await search(settings)
    assert caught.value.exit_code == ElasticError.exit_code
    assert "\n" not in str(caught.value)


async def test_a_cluster_that_is_down_is_named() -> None:
    """The address that was tried stands in the sentence."""
    where = r"cannot be reached \(Cannot connect to host 127\.0\.0\.1:9 .*; check elastic\.url"
    with pytest.raises(ElasticError, match=where):
        await search(ElasticSettings(url="http://127.0.0.1:9"))
