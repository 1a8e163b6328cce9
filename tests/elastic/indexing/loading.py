"""What the tests of loading share: files of documents, the command as a process, a proxy that fails on demand."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.indexing import Report, load
from es_reasonrank.elastic.readers import open_source
from es_reasonrank.settings import ElasticSettings

Rows = list[dict[str, Any] | str]


def written(path: Path, rows: Iterable[dict[str, Any] | str]) -> Path:
    """A JSON Lines file; a row that is a string stands there as it is."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def numbered(count: int) -> Rows:
    return [{"_id": f"d{number}", "title": f"title {number}", "text": f"body {number}"} for number in range(count)]


def rejected(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def loaded(es: AsyncElasticsearch, path: Path, index: str, **options: Any) -> Report:
    return await load(es, open_source(path), index, **options)


async def count(es: AsyncElasticsearch, index: str) -> int:
    found: int = (await es.count(index=index))["count"]
    return found


@asynccontextmanager
async def proxied(url: str, fault: Callable[[int], int | None]) -> AsyncIterator[AsyncElasticsearch]:
    """A client behind a proxy. `fault` says for each bulk request, by number, which status it gets instead of going
    through; 0 cuts its connection."""
    bulks = itertools.count()

    async def forward(request: web.Request) -> web.Response:
        if request.path.endswith("/_bulk") and (status := fault(next(bulks))) is not None:
            if status == 0 and request.transport is not None:
                request.transport.abort()
            return web.json_response({"error": {"type": "overloaded", "reason": "too much"}}, status=status or 500)
        async with session.request(
            request.method, url + str(request.rel_url), headers=request.headers, data=await request.read()
        ) as answer:
            headers = {name: answer.headers[name] for name in ("Content-Type", "X-Elastic-Product")}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)

    application = web.Application(client_max_size=2**30)
    application.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(application)
    async with ClientSession() as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with connected(ElasticSettings(url=f"http://{host}:{port}")) as client:
            yield client
        await runner.cleanup()


async def start(url: str, source: Path, index: str, *options: str) -> Process:
    """`es-reasonrank index` as a process of its own, which can be interrupted even where its parent cannot."""
    code = "import signal; signal.signal(2, signal.default_int_handler); from es_reasonrank.cli import main; main()"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "index", str(source), "--index", index, *options),
        env=os.environ | {"ES_REASONRANK_ELASTIC_URL": url},
        stdout=PIPE,
        stderr=PIPE,
    )
