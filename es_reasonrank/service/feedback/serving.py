"""Events into the judgments index, and clicks into the roll-out log, each once however often they are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from es_reasonrank.elastic.failures import cause, mapped
from es_reasonrank.elastic.judgments import SOURCE, judgment_id, query_id
from es_reasonrank.elastic.mappings import Kind, create_index
from es_reasonrank.errors import ElasticError
from es_reasonrank.evaluation.rollout_log import Clicked
from es_reasonrank.service.feedback.protocol import Accepted, Feedback
from es_reasonrank.service.journal import Journal

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


async def take(
    client: AsyncElasticsearch, judgments: str, journal: Journal, caller: str, events: Sequence[Feedback]
) -> Accepted:
    """Keep events. The judgments index is created where it is not there.

    Args:
        judgments: the index's name.
        caller: name of the API key; ids that callers choose are apart by it.

    Raises:
        ElasticError: the server failed, or the login may not write; clicks are in the log then, and may be sent again.
    """
    now = datetime.now(UTC)
    ids = [event_id(event, caller) for event in events]
    for name, event in zip(ids, events, strict=True):
        if event.event != "rating":
            journal.write(_clicked(name, event, now))
    await create_index(client, judgments, Kind.JUDGMENTS)
    operations: list[dict[str, Any]] = []
    for name, event in zip(ids, events, strict=True):
        # A new rating takes the place of the old; of a click that is sent again, the first stays.
        action = "index" if event.event == "rating" else "create"
        operations += [{action: {"_id": name}}, judgment(event, now)]
    with mapped(judgments):
        answer = await client.bulk(index=judgments, operations=operations)
    _check(answer["items"], judgments)
    return Accepted(accepted=len(ids), ids=ids)


def event_id(event: Feedback, caller: str) -> str:
    """What an event is kept under: made of what makes it the same event."""
    if event.event == "rating":
        assert event.query is not None
        assert event.index is not None
        return judgment_id(event.query.strip(), event.index, event.document, SOURCE)
    if event.id is not None:
        return _hash("id", caller, event.id)
    if event.search_id is not None:
        return _hash("search", event.search_id, event.index or "", event.document, event.event)
    return uuid4().hex


def judgment(event: Feedback, now: datetime) -> dict[str, Any]:
    """An event as the judgments mapping has it. A click is no grade: it tells as much of a place as of a document."""
    query = (event.query or "").strip()
    fields = {
        "query_id": query_id(query) if query else None,
        "query": query or None,
        "document": event.document,
        "index": event.index,
        "grade": event.grade,
        "source": SOURCE if event.event == "rating" else "click",
        "event": event.event,
        "search": event.search_id,
        "position": event.position,
        "created": now.isoformat(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _clicked(name: str, event: Feedback, now: datetime) -> Clicked:
    return Clicked(
        time=now,
        id=name,
        search=event.search_id or "",
        document=event.document,
        index=event.index or "",
        event="conversion" if event.event == "conversion" else "click",
        position=event.position,
    )


def _check(items: Sequence[dict[str, Any]], judgments: str) -> None:
    results = [result for item in items for result in item.values()]
    failed = [result for result in results if result.get("error") and result["status"] != HTTPStatus.CONFLICT]
    if failed:
        _, reason = cause({"error": failed[0]["error"]})
        raise ElasticError(
            f"{len(failed)} of {len(results)} events did not get into index {judgments!r}: {reason}; send them again",
            status=failed[0]["status"],
        )


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
