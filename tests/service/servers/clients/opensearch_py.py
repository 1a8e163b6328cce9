"""What opensearch-py does, plain and asynchronous. Prints what it got.

python opensearch_py.py URL INDEX
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from opensearchpy import AsyncOpenSearch, OpenSearch, TransportError, helpers

ROWS = [{"number": number, "text": f"passage {number} on " + "sheep " * (1 + number % 7)} for number in range(40)]
QUERY = {"match": {"text": "sheep"}}
RERANK = {"rerank": {"query": "sheep", "fields": ["text"], "profile": "identity"}}


def plain(url: str, index: str) -> dict[str, Any]:
    """The client most people use."""
    client = OpenSearch(url, http_compress=True)
    client.indices.create(index=index, body={"settings": {"number_of_shards": 1}})
    bulk, _ = helpers.bulk(client, [{"_index": index, "_id": str(row["number"]), **row} for row in ROWS], refresh=True)
    searches = [{"index": index}, {"query": QUERY}, {"index": "none"}, {"query": QUERY}]
    many = client.msearch(body="".join(json.dumps(line) + "\n" for line in searches))
    pit = client.create_pit(index=index, params={"keep_alive": "1m"})["pit_id"]
    paged = client.search(body={"query": QUERY, "size": 3, "pit": {"id": pit, "keep_alive": "1m"}})
    client.delete_pit(body={"pit_id": [pit]})
    try:
        client.search(index="none", body={})
        failed: list[Any] = []
    except TransportError as error:
        failed = [type(error).__name__, error.status_code, error.error]
    return {
        "distribution": client.info()["version"]["distribution"],
        "bulk": bulk,
        "found": ids(client.search(index=index, body={"query": QUERY, "size": 3})),
        "scrolled": sum(1 for _ in helpers.scan(client, index=index, query={"query": QUERY}, size=9)),
        "paged": ids(paged),
        "many": [answer["status"] for answer in many["responses"]],
        "error": failed,
        "exists": [client.exists(index=index, id="1"), client.exists(index=index, id="none")],
        "reranked": ids(client.search(index=index, body={"query": QUERY, "size": 3, "ext": RERANK})),
    }


async def asynchronous(url: str, index: str) -> dict[str, Any]:
    """The same without waiting."""
    async with AsyncOpenSearch(url) as client:
        found = await client.search(index=index, body={"query": QUERY, "size": 3})
        return {"found": ids(found)}


def ids(answer: Any) -> list[str]:
    """The hits of a response."""
    return [hit["_id"] for hit in answer["hits"]["hits"]]


if __name__ == "__main__":
    address, name = sys.argv[1:]
    done = {"plain": plain(address, name), "async": asyncio.run(asynchronous(address, name))}
    sys.stdout.write(json.dumps(done))
