"""What elasticsearch-py does, in one of its versions: plain, asynchronous and through its DSL. Prints what it got.

python elasticsearch_py.py MODULE URL INDEX
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

ROWS = [{"number": number, "text": f"passage {number} on " + "sheep " * (1 + number % 7)} for number in range(40)]
QUERY = {"match": {"text": "sheep"}}
RERANK = {"rerank": {"query": "sheep", "fields": ["text"], "profile": "identity"}}


def plain(es: Any, url: str, index: str) -> dict[str, Any]:
    """The client most people use."""
    helpers = importlib.import_module(f"{es.__name__}.helpers")
    client = es.Elasticsearch(url, http_compress=True)
    client.indices.create(index=index, settings={"number_of_shards": 1})
    made = client.index(index=index, id="first", document={"number": -1, "text": "first"}, refresh=True)
    bulk, _ = helpers.bulk(client, [{"_index": index, "_id": str(row["number"]), **row} for row in ROWS], refresh=True)
    found = client.search(index=index, query=QUERY, size=3)
    many = client.msearch(searches=[{"index": index}, {"query": QUERY}, {"index": "none"}, {"query": QUERY}])
    reranked = client.options(opaque_id="me").search(index=index, query=QUERY, size=3, ext=RERANK)
    got = {
        "made": made["result"],
        "bulk": bulk,
        "found": ids(found),
        "scrolled": sum(1 for _ in helpers.scan(client, index=index, query={"query": QUERY}, size=9)),
        "many": [answer["status"] for answer in many["responses"]],
        "errors": [
            failed(es, lambda: client.search(index="none")),
            failed(es, lambda: client.indices.create(index="A")),
        ],
        "exists": [bool(client.exists(index=index, id="first")), bool(client.exists(index=index, id="none"))],
        "reranked": [ids(reranked), reranked.meta.headers.get("x-rerank-status")],
    }
    client.close()
    return got


async def asynchronous(es: Any, url: str, index: str) -> dict[str, Any]:
    """The same without waiting."""
    helpers = importlib.import_module(f"{es.__name__}.helpers")
    async with es.AsyncElasticsearch(url) as client:
        await client.indices.create(index=index, settings={"number_of_shards": 1})
        actions = [{"_index": index, "_id": str(row["number"]), **row} for row in ROWS]
        bulk, _ = await helpers.async_bulk(client, actions, refresh=True)
        found = await asyncio.gather(*(client.search(index=index, query=QUERY, size=3) for _ in range(10)))
        scanned = helpers.async_scan(client, index=index, query={"query": QUERY}, size=9)
        reranked = await client.search(index=index, query=QUERY, size=3, ext=RERANK)
        return {
            "bulk": bulk,
            "found": ids(found[0]),
            "same": all(ids(answer) == ids(found[0]) for answer in found),
            "scrolled": len([hit async for hit in scanned]),
            "reranked": [ids(reranked), reranked.meta.headers.get("x-rerank-status")],
        }


def dsl(es: Any, url: str, index: str) -> dict[str, Any]:
    """Searches as Python expressions."""
    language = importlib.import_module(f"{es.__name__}.dsl")
    client = es.Elasticsearch(url)
    search = language.Search(using=client, index=index).query("match", text="sheep")[:3]
    answer = search.extra(ext=RERANK).execute()
    got = {
        "found": [hit.meta.id for hit in search],
        "scrolled": sum(1 for _ in search.scan()),
        "paged": sum(1 for _ in language.Search(using=client, index=index).query("match", text="sheep").iterate()),
        "reranked": [hit.meta.id for hit in answer],
    }
    client.close()
    return got


def ids(answer: Any) -> list[str]:
    """The hits of a response."""
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def failed(es: Any, call: Any) -> list[Any]:
    """The error that a call ends with."""
    try:
        call()
    except es.ApiError as error:
        return [type(error).__name__, error.status_code, error.error]
    return []


if __name__ == "__main__":
    module, address, name = sys.argv[1:]
    package = importlib.import_module(module)
    done = {
        "version": ".".join(str(part) for part in package.__version__[:1]),
        "plain": plain(package, address, name),
        "dsl": dsl(package, address, name),
        "async": asyncio.run(asynchronous(package, address, f"{name}-async")),
    }
    sys.stdout.write(json.dumps(done))
