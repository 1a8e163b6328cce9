"""What goes into bulk requests, and what their answers mean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from elasticsearch.helpers import BULK_FLUSH

from es_reasonrank.elastic.ledger import Taken
from es_reasonrank.elastic.readers import Passage
from es_reasonrank.errors import ElasticError

Item = tuple[Passage, Taken]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


async def actions(queue: asyncio.Queue[Item | None], sent: dict[str, Taken], most: int) -> AsyncIterator[Any]:
    """The queue's documents as actions of the bulk helper, until None comes.

    A document whose id is on its way is held back until the answer is there: the helper sends what the server refused
    once more, and then an earlier document must not overtake a later one.

    Args:
        sent: documents that are on their way, by id; the caller takes those out that were answered.
        most: how many documents may be held back; at that number, what is on its way is sent at once.
    """
    held: list[Item] = []
    held_ids: set[str] = set()
    ended = False
    while held or not ended:
        if held and (ended or len(held) >= most):
            yield BULK_FLUSH
        if held and held[0][0].id not in sent:
            batch, held, held_ids = held, [], set()
        elif (item := await queue.get()) is not None:
            queue.task_done()
            batch = [item]
        else:
            ended, batch = True, []
        for passage, taken in batch:
            if passage.id in sent or passage.id in held_ids:
                held.append((passage, taken))
                held_ids.add(passage.id)
            else:
                sent[passage.id] = taken
                yield {"_id": passage.id, "_source": _encode(passage.source).encode()}


def header_and_body(action: Any) -> tuple[dict[str, Any], bytes]:
    """An action of `actions` in the helper's two parts; its own function for this looks for twenty more keys."""
    return {"index": {"_id": action["_id"]}}, action["_source"]


def refusal(result: dict[str, Any]) -> str:
    """Why the server does not take one document.

    Raises:
        ElasticError: it is not because of the document.
    """
    status, error = result["status"], result["error"]
    reason = ": ".join(dict.fromkeys(_reasons(error)))
    if status != HTTPStatus.BAD_REQUEST or error["type"] == "index_closed_exception":
        raise ElasticError(f"Elasticsearch stopped taking documents ({status}: {reason})", status=status)
    return reason


def _reasons(error: dict[str, Any]) -> tuple[str, str]:
    """What an error says, and what the error at its root says."""
    root = error
    while cause := root.get("caused_by"):
        root = cause
    return error.get("reason") or error["type"], root.get("reason") or root["type"]
